"""A wrong override ends in one line that names it and its remedy; a right one reaches the command."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from nmt.cli import main
from nmt.cli.shell.configuration import escape, plain_values

KEYS = "voice, trainer, experiment, run, runs, source, target, title, name, folder, seed, splits"
"""The groups and keys at the top level of `greet`."""


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("trainer.max_step=5", "trainer.max_step: no such key; did you mean trainer.max_steps?"),
        ("max_steps=5", "max_steps: no such key; did you mean trainer.max_steps?"),
        ("trainr.max_steps=5", "trainr.max_steps: no such key; did you mean trainer.max_steps?"),
        ("max_step=5", "max_step: no such key; did you mean trainer.max_steps?"),
        ("voic=loud", "voic: no such key; did you mean voice?"),
        ("voice.echoes=2", "voice.echoes: no such key with voice=calm; the keys are voice.volume, voice.warm"),
        ("qqq=1", f"qqq: no such key; the keys are {KEYS}"),
        ("hydra.verbose=true", f"hydra.verbose: no such key; the keys are {KEYS}"),
    ],
)
def test_a_wrong_key_is_named(word: str, text: str, error_line: Callable[..., str]) -> None:
    assert error_line("greet", "run=x", word) == text


def test_a_group_of_another_command_is_no_key(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plain", "voice=loud"]) == 2
    assert capsys.readouterr().err == "nmt plain: voice: no such key; the keys are seed\n"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("voice=luod", "voice=luod: no such choice; did you mean loud? The choices are calm, loud, shrill"),
        ("voice=mute", "voice=mute: no such choice; the choices are calm, loud, shrill"),
        ("experiment=opera", "experiment=opera: no such choice; the choices are concert"),
        ("trainer=5", "trainer=5: no such choice; the choices are default"),
    ],
)
def test_a_wrong_choice_is_named(word: str, text: str, error_line: Callable[..., str]) -> None:
    assert error_line("greet", "run=x", word) == text


@pytest.mark.parametrize(
    ("word", "beginning"),
    [
        ("run", "'run' does not have the form key=value; write run=…"),
        ("=", "'=' does not have the form key=value"),
        ("=x", "'=x' does not have the form key=value"),
        ("", "'' does not have the form key=value"),
        ("~", "'~' does not have the form key=value"),
        ("a b=1", "'a b=1' does not have the form key=value: a b is no key"),
        ("ключ=1", "'ключ=1' does not have the form key=value: ключ is no key"),
        ("seed=1,2", "seed=1,2: several values need -m, which starts one run for each; "),
    ],
)
def test_broken_syntax_is_explained(word: str, beginning: str, error_line: Callable[..., str]) -> None:
    assert error_line("greet", word).startswith(beginning)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("seed=many", "seed: must be a whole number (the default is 1), not many"),
        ("seed=2.5", "seed: must be a whole number (the default is 1), not 2.5"),
        ("seed=true", "seed: must be a whole number (the default is 1), not true"),
        ("trainer.max_steps=1e5", "trainer.max_steps: must be a whole number (the default is 100), not 1e5"),
        ("trainer={max_steps:a}", "trainer.max_steps: must be a whole number (the default is 100), not a"),
        ("voice.volume=loud", "voice.volume: must be a number (the default is 0.5), not loud"),
        ("voice.warm=1", "voice.warm: must be true or false (the default is true), not 1"),
        ("title=[a]", "title: must be text (the default is ), not [a]"),
        ("seed=[1,", "seed: must be a whole number (the default is 1), not [1,"),
        ("seed='1", "seed: must be a whole number (the default is 1), not '1"),
        ("seed=" + "9" * 5000, f"seed: must be a whole number (the default is 1), not {'9' * 100}…"),
        ("splits=[val", "splits: must be a list such as [a,b], not [val"),
        ("trainer={", "trainer={: no such choice; the choices are default"),
        ("voice=loud(", "voice=loud(: no such choice; did you mean loud? The choices are calm, loud, shrill"),
        ("+hydra.verbose=true", f"hydra.verbose: no such key; the keys are {KEYS}"),
        ("splits=val", "splits: must be a list such as [a,b], not val"),
    ],
)
def test_a_wrong_type_is_explained(word: str, text: str, error_line: Callable[..., str]) -> None:
    assert error_line("greet", "run=x", word) == text


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["seed=-2"], "seed", -2),
        (["voice.volume=1"], "voice.volume", 1),
        (["voice.warm=false"], "voice.warm", False),
        (["trainer.max_minutes=0.5"], "trainer.max_minutes", 0.5),  # a default of null allows any type
        (["trainer.max_steps=null"], "trainer.max_steps", None),
        (["splits=[test]"], "splits", ["test"]),
        (["name=2024"], "name", "2024"),  # a number where text belongs is that text
        (["name=1e3"], "name", "1e3"),
        (["name=true"], "name", "true"),
        (["name='a, b'"], "name", "a, b"),
        (["voice=loud", "voice.echoes=5"], "voice.echoes", 5),
        (["voice.echoes=5", "voice=loud"], "voice.echoes", 5),
        (["experiment=concert"], "trainer.max_steps", 3),
        (["experiment=concert", "trainer.max_steps=4"], "trainer.max_steps", 4),
        (["experiment=concert", "voice=calm"], "voice.warm", True),
        (["+new=1"], "new", 1),
        (["++seed=9"], "seed", 9),
        (["seed=2", "name=${seed}"], "name", "2"),
    ],
)
def test_a_right_override_reaches_the_command(words: list[str], key: str, value: Any, calls: list[DictConfig]) -> None:
    assert main(["greet", "run=x", *words]) == 0
    received = OmegaConf.select(calls[0], key)
    assert received == value
    assert isinstance(received, type(value)) or isinstance(value, list)


SENTENCES = st.text(
    st.one_of(st.sampled_from("$ {}\\'\":,=[]()?#~+-xé \t\n"), st.characters(exclude_categories=["Cs"]))
)
"""Any text, often with the characters that have a meaning for Hydra or OmegaConf."""


@given(SENTENCES)
@example("???")
@example("\\\\${x}\\")
def test_escaped_text_reads_as_itself(text: str) -> None:
    assert plain_values(OmegaConf.create({"a": {"b": escape(text)}})) == {"a": {"b": text}}


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SENTENCES, SENTENCES)
@example("A dog, (brown) = nice: it's 5 o'clock?", 'Ein "Hund"')
@example("", "???")
@example("${x} \\${x} \\\\${x}", "${oc.env:HOME}\\")
@example("null", "[1,")
@example("a,b", "'")
def test_any_sentence_reaches_the_command_unchanged(calls: list[DictConfig], source: str, target: str) -> None:
    calls.clear()
    assert main(["greet", "run=x", f"source={source}", f"target={target}"]) == 0
    received = plain_values(calls[0])
    assert (received["source"], received["target"]) == (source, target)
    assert received["title"] == source  # also through a reference


PATHS = [
    *("runs/prüfung", "тест", "日本", "😀", "e\u0301", "\u200bx"),
    *("a#b", "a b", " a", "a ", "a,b", "a=b", "a:b", "a$b", "$", "${", "a${b c}", "!a", "a&b;c", "%a", "a*b?"),
    *("it's", 'a"b"', "'a", "a\\b", "a\\", "a\nb", "a\t", "a/", "-a", "+a", "~", "???", "a/???"),
    *("a[1]", "[a]", "[a,b]", "[", "a]", "{a}", "{a:1}", "a(b)", "choice(a,b)"),
    *("2024", "1e3", "1_000", "0x10", "-1", "1.50", "null", "Null", "true", "False", "nan"),
]


def test_a_path_or_a_name_is_taken_as_typed(calls: list[DictConfig]) -> None:
    for index, text in enumerate(PATHS):
        if index % 4 == 0:  # as a single value; composing takes a tenth of a second
            calls.clear()
            run = f"'{text}'" if text in ("[a]", "[a,b]") else text  # without quotes, a list of runs
            assert main(["greet", f"run={run}", f"name={text}"]) == 0
            received = plain_values(calls[0])
            assert (received["run"], received["name"]) == (text, text)
            assert received["folder"] == f"runs/{text}/calm-seed1"  # also through a reference
    texts = [text.strip() for text in PATHS if text not in ("${", "[", "a]", "'a")]  # these need quotes
    quoted = [f"'{text}'" if "," in text else text for text in texts]
    calls.clear()
    assert main(["greet", "run=null", "name=null", f"runs=[{','.join(quoted)}]"]) == 0
    received = plain_values(calls[0])
    assert received["runs"] == texts
    assert (received["run"], received["name"]) == ("null", "null")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a, b'", "a, b"),  # quotes around the whole text, as Hydra's users write them
        ('"it\'s"', "it's"),
        ("runs/${name}-${seed}", "runs/plain-1"),
        ("a b/${seed}#,", "a b/1#,"),
        (r"\${seed}", "${seed}"),
    ],
)
def test_quotes_and_references_keep_their_meaning_in_a_path(text: str, expected: str, calls: list[DictConfig]) -> None:
    assert main(["greet", f"run={text}"]) == 0
    assert plain_values(calls[0])["run"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a b,c#d]", ["a b", "c#d"]),
        ("[runs/prüfung, 2024,1e3,null,true]", ["runs/prüfung", "2024", "1e3", "null", "true"]),
        ("['a,b',it's,x[1],\"c d\"]", ["a,b", "it's", "x[1]", "c d"]),
        ("[]", []),
        ("[a=b,x-${seed}]", ["a=b", "x-1"]),
        ("a,b", "a,b"),
    ],
)
def test_a_list_of_paths_is_taken_as_typed(text: str, expected: object, calls: list[DictConfig]) -> None:
    assert main(["greet", f"run={text}", f"runs={text}"]) == 0
    received = plain_values(calls[0])
    assert received["runs"] == received["run"] == expected


@pytest.mark.parametrize(
    ("words", "volume"),
    [
        (["voice=loud", "voice=calm"], 0.5),
        (["voice=null", "voice=loud"], 1.0),
        (["voice=null", "voice=calm", "voice.volume=0.7"], 0.7),
        (["voice=loud", "voice=null"], None),
    ],
)
def test_of_several_choices_the_last_one_counts(
    words: list[str], volume: float | None, calls: list[DictConfig]
) -> None:
    assert main(["greet", "run=x", *words]) == 0
    [config] = calls
    assert (config.voice.volume if "voice" in config else None) == volume
