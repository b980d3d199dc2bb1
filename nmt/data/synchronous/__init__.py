"""The synchronous grammar behind `nmt.data.grammar`: English and German written together.

inflection → lexicon → phrases → clauses      what the languages are: forms, words, and their order
nominals → writer → sentences, pronouns       what is said: drawn at random, so that it makes sense
"""
