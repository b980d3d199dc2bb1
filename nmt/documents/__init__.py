"""Documents, whose text is translated sentence by sentence while everything else stays as it is.

    segment.py       text with markup, such as a paragraph, and its translation in pieces
    sentences.py     from segments to sentences, through the translator, and back to segments
    placement.py     where the markup of a sentence belongs in its translation
    edits.py         replacing segments in the text of a file
    plain.py  markdown.py  html.py  subtitles.py  word.py     one kind of file each
    kinds.py         the kind of a file

A kind of file is a function that finds the segments in the content of a file, has them translated together, and returns
the new content. All bytes outside the segments stay the same. The one exception is .docx, whose XML is written anew.
"""
