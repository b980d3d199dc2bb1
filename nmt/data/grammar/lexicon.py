"""The lexicon of the built-in grammar: about two hundred English lemmas with their German translations.

The tables look like the columns of a dictionary. Tags are semantic classes of nouns, which keep sentences plausible: a
verb lists the tags of its possible subjects and objects, an adjective those of the nouns that it may modify. The tag
"unpossessed" marks nouns that "my", "your" and "our" do not precede.
"""

from __future__ import annotations

from nmt.data.grammar.entries import Adjective, Determiner, Noun, Preposition, Verb
from nmt.data.grammar.inflection import EnglishVerb, Gender, GermanVerb, add_s

# Nouns, by their tags: English singular[/irregular plural]  German article singular/plural  [weak declension]
# A slash without a plural: the noun has none. Commas separate the entries.
_NOUNS = {
    "person male adult unpossessed": "man/men der Mann/Männer, king der König/Könige",
    "person female adult unpossessed": "woman/women die Frau/Frauen, queen die Königin/Königinnen",
    "person male adult": """
        father der Vater/Väter, brother der Bruder/Brüder, uncle der Onkel/Onkel
    """,
    "person female adult": """
        mother die Mutter/Mütter, sister die Schwester/Schwestern,
        aunt die Tante/Tanten
    """,
    "person male": "boy der Junge/Jungen weak",
    "person": """
        girl das Mädchen/Mädchen, child/children das Kind/Kinder, student der Student/Studenten weak,
        friend der Freund/Freunde, guest der Gast/Gäste
    """,
    "person adult": """
        teacher der Lehrer/Lehrer, doctor der Arzt/Ärzte, farmer der Bauer/Bauern weak,
        neighbor der Nachbar/Nachbarn weak
    """,
    "animal": """
        dog der Hund/Hunde, cat die Katze/Katzen, horse das Pferd/Pferde, cow die Kuh/Kühe,
        mouse/mice die Maus/Mäuse, pig das Schwein/Schweine, goat die Ziege/Ziegen
    """,
    "animal unpossessed": """
        animal das Tier/Tiere, bear der Bär/Bären weak, monkey der Affe/Affen weak,
        elephant der Elefant/Elefanten weak
    """,
    "food bite": """
        apple der Apfel/Äpfel, banana die Banane/Bananen, cake der Kuchen/Kuchen, egg das Ei/Eier, bread/ das Brot/
    """,
    "food": "soup die Suppe/Suppen",
    "drink": "milk/ die Milch/, water/ das Wasser/, coffee/ der Kaffee/, tea/ der Tee/, juice/ der Saft/",
    "text written portable": "letter der Brief/Briefe, story die Geschichte/Geschichten, book das Buch/Bücher",
    "text portable": "newspaper die Zeitung/Zeitungen",
    "ware portable": """
        ball der Ball/Bälle, key der Schlüssel/Schlüssel, knife/knives das Messer/Messer, picture das Bild/Bilder
    """,
    "ware portable vessel": "cup die Tasse/Tassen, glass das Glas/Gläser, bottle die Flasche/Flaschen",
    "ware portable container closable": "bag die Tasche/Taschen, suitcase der Koffer/Koffer, box die Kiste/Kisten",
    "ware portable container": "basket der Korb/Körbe",
    "ware furniture mended": "chair der Stuhl/Stühle, table der Tisch/Tische",
    "ware furniture mended machine": """
        lamp die Lampe/Lampen, computer der Computer/Computer, radio/radios das Radio/Radios
    """,
    "opening": "door die Tür/Türen, window das Fenster/Fenster",
    "ware clothes portable": """
        hat der Hut/Hüte, coat der Mantel/Mäntel, jacket die Jacke/Jacken, shirt das Hemd/Hemden,
        dress das Kleid/Kleider
    """,
    "ware vehicle mended crosser": "car das Auto/Autos, bicycle das Fahrrad/Fahrräder, truck der Lastwagen/Lastwagen",
    "vehicle crosser": "train der Zug/Züge, bus/buses der Bus/Busse",
    "place inside outdoors": "garden der Garten/Gärten, park der Park/Parks, forest der Wald/Wälder",
    "place inside settlement": "village das Dorf/Dörfer, city die Stadt/Städte",
    "place inside room": "kitchen die Küche/Küchen, room das Zimmer/Zimmer",
    "place inside building room": "house das Haus/Häuser",
    "place inside building goal": "school die Schule/Schulen, museum das Museum/Museen",
    "place building goal": "train_station der Bahnhof/Bahnhöfe",
    "place goal shop": "market der Markt/Märkte",
    "place surface crossable": """
        street die Straße/Straßen, playground der Spielplatz/Spielplätze, island die Insel/Inseln
    """,
    "place crossable": "field das Feld/Felder",
    "place surface crossable shelter goal": "bridge die Brücke/Brücken",
    "place crossable waters goal": "river der Fluss/Flüsse, lake der See/Seen",
    "place shelter": "tree der Baum/Bäume",
}

# Compounds: English modifier  German modifier: the nouns that it precedes
_COMPOUNDS = """
    coffee     Kaffee:        cup
    tea        Tee:           cup
    milk       Milch:         bottle
    water      Wasser:        bottle glass
    apple      Apfel:         cake tree juice
    vegetable  Gemüse:        soup
    kitchen    Küchen:        table chair window door lamp knife
    garden     Garten:        chair table door
    school     Schul:         bag book
    house      Haus:          key
    car        Auto:          key door
    winter     Winter:        coat jacket
    summer     Sommer:        dress hat
    city       Stadt:         park
    mountain   Berg:          village
    police     Polizei:       car
"""

# Verbs: English ; German ; tags of subjects ; tags of objects ; uses, and "dative" if the German object is a dative
_VERBS = """
    buy/bought/bought       ; kaufen                              ; person        ; food drink ware text   ; for
    sell/sold/sold          ; verkaufen                           ; adult         ; food drink ware text   ;
    see/saw/seen            ; sehen sieht sah gesehen             ; person animal ; person animal vehicle building ; in
    find/found/found        ; finden findet fand gefunden         ; person        ; animal portable        ; in
    look for                ; suchen                              ; person        ; person animal portable ; in
    lose/lost/lost          ; verlieren verliert verlor verloren  ; person        ; portable               ; in
    forget/forgot/forgotten ; vergessen vergisst vergaß vergessen ; person        ; portable               ;
    carry                   ; tragen trägt trug getragen          ; person        ; portable               ;
    read/read/read          ; lesen liest las gelesen             ; person        ; text                   ; in
    write/wrote/written     ; schreiben schreibt schrieb geschrieben ; person     ; written                ; in for
    eat/ate/eaten           ; essen isst aß gegessen              ; person        ; food                   ; in
    eat/ate/eaten           ; fressen frisst fraß gefressen       ; animal        ; bite                   ; in
    drink/drank/drunk       ; trinken trinkt trank getrunken      ; person animal ; drink                  ; in
    open                    ; öffnen                              ; person        ; opening closable bottle ;
    close                   ; zu|machen                           ; person        ; opening closable      ;
    call                    ; an|rufen ruft rief gerufen          ; person        ; person                 ;
    visit                   ; besuchen                            ; person        ; person settlement museum ;
    invite                  ; ein|laden lädt lud geladen          ; person        ; person                 ;
    pick +up                ; ab|holen                            ; adult         ; person                 ;
    wash                    ; waschen wäscht wusch gewaschen      ; person        ; clothes car truck apple dog ; in
    repair                  ; reparieren                          ; adult         ; mended                 ; in for
    draw/drew/drawn         ; zeichnen                            ; person        ; animal tree building crosser ; for
    feed/fed/fed            ; füttern                             ; person        ; animal                 ; in
    love                    ; lieben                              ; person        ; person animal          ; state
    watch                   ; beobachten                          ; person animal ; person animal          ; in
    hear/heard/heard        ; hören                               ; person animal ; person animal vehicle  ; in
    help                    ; helfen hilft half geholfen          ; person        ; person                 ; in dative
    thank                   ; danken                              ; person        ; person                 ; dative
    follow                  ; folgen folgt folgte gefolgt sein    ; person animal ; person animal          ; dative
    chase                   ; jagen                               ; animal        ; animal                 ; in
    turn +on                ; ein|schalten                        ; person        ; machine                ;
    turn +off               ; aus|schalten                        ; person        ; machine                ;
    clean +up               ; auf|räumen                          ; person        ; room                   ;
    put/put/put +on         ; an|ziehen zieht zog gezogen         ; person        ; clothes                ;
    throw/threw/thrown +away ; weg|werfen wirft warf geworfen     ; person        ; portable               ;
    cross                   ; überqueren                          ; person animal crosser ; crossable      ;
    sleep/slept/slept       ; schlafen schläft schlief geschlafen ; person animal ;                        ; in
    work                    ; arbeiten                            ; adult         ;                        ; in with for
    play                    ; spielen                             ; person animal ;                        ; in with
    sing/sang/sung          ; singen singt sang gesungen          ; person        ;                        ; in with for
    dance                   ; tanzen                              ; person        ;                        ; in with
    laugh                   ; lachen                              ; person        ;                        ; in
    cook                    ; kochen                              ; person        ;                        ; for with
    wake/woke/woken +up     ; auf|wachen wacht wachte gewacht sein ; person animal ;                       ;
    get/got/gotten +up      ; auf|stehen steht stand gestanden sein ; person animal ;                      ;
    fall/fell/fallen +asleep ; ein|schlafen schläft schlief geschlafen sein ; person animal ;              ; in
    come/came/come +back    ; zurück|kommen kommt kam gekommen sein ; person animal ;                      ;
    arrive                  ; an|kommen kommt kam gekommen sein   ; person vehicle ;                       ;
    go/went/gone            ; gehen geht ging gegangen sein       ; person        ;                        ; walk with
    run/ran/run             ; laufen läuft lief gelaufen sein     ; person animal ;                        ; walk
    drive/drove/driven      ; fahren fährt fuhr gefahren sein     ; adult         ;                        ; drive with
    wait                    ; warten                              ; person        ;                        ; in waiting
    give/gave/given         ; geben gibt gab gegeben              ; person        ; portable bite          ; indirect
    show/showed/shown       ; zeigen                              ; person        ; ware text              ; indirect
    bring/brought/brought   ; bringen bringt brachte gebracht     ; person        ; food drink portable    ; indirect
    read/read/read          ; vor|lesen liest las gelesen         ; person        ; text                   ; indirect
    say/said/said           ; sagen                               ; person        ;                        ; that
    know/knew/known         ; wissen weiß wusste gewusst          ; person        ;                        ; that
    believe                 ; glauben                             ; person        ;                        ; that
    hope                    ; hoffen                              ; person        ;                        ; that
    ask                     ; fragen                              ; person        ;                        ; whether
"""

# Adjectives: English  German[/stem]: tags of the nouns that it may modify
_ADJECTIVES = """
    old          alt:                person animal ware text vehicle building settlement shelter
    young        jung:               person animal
    small        klein:              person animal ware vehicle place
    big          groß:               animal ware vehicle place bite
    tired        müde/müd:           person animal
    hungry       hungrig:            person animal
    happy        glücklich:          person
    sad          traurig:            person animal
    friendly     freundlich:         person
    clever       klug:               person animal
    lazy         faul:               person animal
    strong       stark:              person animal
    weak         schwach:            person animal
    fast         schnell:            vehicle animal
    fresh        frisch:             bite drink
    sweet        süß:                apple cake banana tea coffee juice
    cold         kalt:               drink soup
    hot          heiß:               drink soup cake
    new          neu:                ware text vehicle building
    expensive    teuer/teur:         ware vehicle
    cheap        billig:             ware
    heavy        schwer:             furniture container vehicle
    red          rot:                ware vehicle
    green        grün:               ware vehicle
    black        schwarz:            clothes animal vehicle
    white        weiß:               clothes animal
    beautiful    schön:              ware text building settlement outdoors
    dirty        schmutzig:          vessel clothes vehicle room
    empty        leer:               vessel container room
    long         lang:               text
    boring       langweilig:         text
    dark         dunkel/dunkl:       room forest
    wide         breit:              crossable
    narrow       schmal:             bridge street river
    deep         tief:               waters
    dangerous    gefährlich:         river lake street bridge bear elephant dog
"""

DETERMINERS = {
    determiner.singular or determiner.plural: determiner
    for determiner in (
        Determiner("the", "the", "", "definite", True),
        Determiner("a", "", "ein", "ein", False),
        Determiner("this", "these", "dies", "der", True),
        Determiner("every", "", "jed", "der", True),
        Determiner("my", "my", "mein", "ein", True),
        Determiner("your", "your", "dein", "ein", True),
        Determiner("our", "our", "unser", "ein", True),
        Determiner("his", "his", "sein", "ein", True),
        Determiner("her", "her", "ihr", "ein", True),
        Determiner("", "two", "zwei", "fixed", False),
        Determiner("", "three", "drei", "fixed", False),
        Determiner("", "many", "viel", "strong", False),
    )
}

_PREPOSITIONS = """
    in in dative, on auf dative, under unter dative, behind hinter dative, next_to neben dative,
    in_front_of vor dative, with mit dative, to zu dative,
    into in accusative, through durch accusative, for für accusative
"""
WAITING_FOR = Preposition("for", "auf", "accusative")

# Expressions of time and adverbs, by the tenses that they go with, in the notation of `phrases.align_words`: units
# separated by spaces correspond one to one, an underscore joins words into a unit.
TIMES: dict[str, tuple[tuple[str, str], ...]] = {
    "present": (("today", "heute"), ("every day", "jeden Tag"), ("on_Sundays", "sonntags"), ("now", "jetzt")),
    "past": (("yesterday", "gestern"), ("last week", "letzte Woche"), ("this morning", "heute Morgen")),
    "modal": (("today", "heute"), ("tomorrow", "morgen"), ("tonight", "heute_Abend"), ("now", "jetzt")),
    "future": (("tomorrow", "morgen"), ("next week", "nächste Woche"), ("tonight", "heute_Abend"), ("soon", "bald")),
}
UNNEGATED = (("every day", "jeden Tag"),)  # with "not", these would need another German word order
FREQUENCIES = (("often", "oft"), ("always", "immer"), ("sometimes", "manchmal"), ("never", "nie"))
COMPLETIONS = (("already", "schon"), ("just", "gerade"), ("never", "nie"))


_GENDERS: dict[str, Gender] = {"der": "m", "die": "f", "das": "n"}


def _parse_nouns() -> dict[str, Noun]:
    """Parses `_NOUNS`, and forms the compounds of `_COMPOUNDS` from a modifier and a noun of `_NOUNS`."""
    nouns = {}
    for tags, lines in _NOUNS.items():
        for line in lines.split(","):
            english, article, german, *weak = line.split()
            english, slash, english_plural = english.replace("_", " ").partition("/")
            german, _, german_plural = german.partition("/")
            nouns[english] = Noun(
                english=english,
                english_plural=english_plural if slash else add_s(english),
                german=german,
                german_plural=german_plural,
                gender=_GENDERS[article],
                weak=bool(weak),
                tags=frozenset([english, *tags.split()]),  # a noun is a tag of its own, which its compounds inherit
            )
    for line in _COMPOUNDS.strip().splitlines():
        modifiers, heads = line.split(":")
        english, german = modifiers.split()
        for name in heads.split():
            head = nouns[name]
            compound = Noun(
                english=f"{english} {head.english}",
                english_plural=head.english_plural and f"{english} {head.english_plural}",
                german=german + head.german.lower(),
                german_plural=head.german_plural and german + head.german_plural.lower(),
                gender=head.gender,
                weak=head.weak,
                tags=head.tags,
            )
            nouns[compound.english] = compound
    return nouns


def _parse_verb(line: str) -> Verb:
    """Parses a row of `_VERBS`: English; German; tags of subjects; tags of objects; case and uses."""
    english, german, subjects, objects, rest = (column.strip() for column in line.split(";"))
    uses = frozenset(rest.split())
    return Verb(
        english=EnglishVerb.parse(english),
        german=GermanVerb.parse(german),
        subjects=frozenset(subjects.split()),
        objects=frozenset(objects.split()),
        case="dative" if "dative" in uses else "accusative",
        uses=uses - {"dative"},
    )


def _parse_adjective(line: str) -> Adjective:
    words, tags = line.split(":")
    english, german = words.split()
    german, _, stem = german.partition("/")
    return Adjective(english, german, stem or german, frozenset(tags.split()))


def _parse_preposition(entry: str) -> Preposition:
    english, german, case = entry.split()
    return Preposition(english.replace("_", " "), german, "dative" if case == "dative" else "accusative")


NOUNS = _parse_nouns()
"""By the English singular."""
VERBS = {verb.german.infinitive: verb for verb in map(_parse_verb, _VERBS.strip().splitlines())}
"""By the German infinitive, because the English one is ambiguous: essen and fressen are both "eat"."""
ADJECTIVES = {adjective.english: adjective for adjective in map(_parse_adjective, _ADJECTIVES.strip().splitlines())}
"""By the English word."""
PREPOSITIONS = {entry.english: entry for entry in map(_parse_preposition, _PREPOSITIONS.split(","))}
"""By the English preposition."""
BE = _parse_verb("be/was/been ; sein ist war gewesen sein ; ; ;")
FIT = _parse_verb("fit/fit/fit ; passen ; ; ;")
