"""The calls of the page: what they answer, and what they refuse in one line."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from nmt.explore.analysis import analyse
from nmt.explore.beam_tree import beam_tree
from nmt.explore.calls import MAX_LINES, MAX_TEXT_CHARACTERS
from nmt.explore.systems import System
from nmt.translator import Translator


def translate(client: TestClient, system: str, text: Any, **fields: Any) -> Any:
    """The answer of /api/translate."""
    response = client.post("/api/translate", json={"system": system, "text": text, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_translations_are_those_of_the_translator(client: TestClient, systems: dict[str, System]) -> None:
    lines = ["one two", "", "three four five"]
    expected = systems["luong"].translator().translate(lines, n_best=2)
    answer = translate(client, "luong", lines, n_best=2)
    assert answer["milliseconds"] > 0
    assert [[each["text"] for each in found] for found in answer["translations"]] == [
        [each.text for each in found] for found in expected
    ]
    first = answer["translations"][0][0]
    assert first["pieces"] == expected[0][0].target_tokens
    assert first["score"] == pytest.approx(expected[0][0].score, abs=1e-5)
    assert first["log_probability"] == pytest.approx(expected[0][0].log_probability, abs=1e-5)
    assert answer["translations"][1] == [
        {"text": "", "score": 0, "log_probability": 0, "pieces": [], "truncated": False}
    ]
    [[alone]] = translate(client, "luong", "one two")["translations"]
    assert alone["pieces"] == first["pieces"]


def test_a_request_changes_the_search_and_the_heads(client: TestClient, systems: dict[str, System]) -> None:
    [[greedy]] = translate(client, "luong", "one two three", beam_size=1)["translations"]
    assert greedy["text"] == systems["luong"].translator().translate("one two three", beam_size=1).text
    off = ["encoder.0.0", "cross.0.1"]
    [[silenced]] = translate(client, "transformer", "one two", heads_off=off)["translations"]
    [expected] = systems["transformer"].translator(off).translate(["one two"])
    assert silenced["log_probability"] == pytest.approx(expected.log_probability, abs=1e-5)
    assert expected.log_probability != systems["transformer"].translator().translate("one two").log_probability


def test_a_translation_begins_with_the_prefix(client: TestClient, systems: dict[str, System]) -> None:
    translator = systems["luong"].translator()
    for prefix in ("neun", translator.tokenizer.target_pieces(translator.tokenizer.encode_target(["neun"])[0])):
        answer = translate(client, "luong", ["one two", "three"], prefix=prefix)
        expected = translator.translate(["one two", "three"], prefix=[prefix, prefix])
        assert [found[0]["text"] for found in answer["translations"]] == [each.text for each in expected]
        assert all(found[0]["text"].startswith("neun") for found in answer["translations"])


def test_a_given_translation_is_scored(client: TestClient, systems: dict[str, System]) -> None:
    expected = systems["luong"].translator().force_decode("one two", "eins zwei")
    for target in ("eins zwei", expected.target_tokens):
        fields = {"system": "luong", "source": "one two", "target": target}
        assert client.post("/api/force", json=fields).json() == {
            "text": "eins zwei",
            "score": pytest.approx(expected.score),
            "log_probability": pytest.approx(expected.log_probability),
            "pieces": expected.target_tokens,
            "log_probabilities": pytest.approx(expected.log_probabilities),
        }


def test_attention_is_that_of_the_analysis(client: TestClient, systems: dict[str, System]) -> None:
    expected = msgspec.to_builtins(analyse(systems["transformer"], "one two", kinds=["cross", "encoder"]))
    fields = {"system": "transformer", "source": "one two", "kinds": ["encoder", "cross"]}
    answer = client.post("/api/attention", json=fields).json()
    assert answer.pop("milliseconds") > 0
    assert answer == {name: value for name, value in expected.items() if name != "milliseconds"}
    given = client.post("/api/attention", json={**fields, "target": "eins", "heads_off": ["cross.0.1"]}).json()
    assert (given["text"], given["milliseconds"], given["heads_off"]) == ("eins", None, ["cross.0.1"])
    assert client.post("/api/attention", json={"system": "lstm", "source": "one"}).json()["attention"] == {}


def test_the_beam_is_the_recorded_tree(client: TestClient, systems: dict[str, System]) -> None:
    fields = {"system": "luong", "source": "one two", "prefix": "eins", "beam_size": 2}
    answer = client.post("/api/beam", json=fields).json()
    expected = beam_tree(systems["luong"], "one two", prefix="eins", beam_size=2)
    assert answer == msgspec.json.decode(msgspec.json.encode(expected))
    assert answer["prefix"] == expected.prefix


def test_systems_and_examples_are_listed(client: TestClient, systems: dict[str, System]) -> None:
    listed = client.get("/api/systems").json()
    assert listed == [msgspec.to_builtins(system.info) for system in systems.values()]
    assert [each["architecture"] for each in listed] == ["PlainRNN", "LuongRNN", "Transformer"]
    assert client.get("/api/examples").json() == [{"source": "one two", "label": "one two", "picture": None}]


@pytest.mark.parametrize(
    ("path", "fields", "status", "detail"),
    [
        ("force", {"source": "one", "target": ""}, 422, "the target has no words"),
        ("force", {"source": "", "target": "eins"}, 422, "the source has no words"),
        ("force", {"source": "one"}, 422, "target: Field required"),
        ("force", {"source": "one", "target": ["▁", "<s>"]}, 422, "the target cannot contain <s>: leave it out"),
        ("force", {"source": "one", "target": ["</s>", "</s>"]}, 422, "the target cannot contain </s>: leave it out"),
        ("force", {"source": "one", "target": "x" * 1_000}, 413, "the text has 1,003 characters"),
        ("attention", {"source": "one", "kinds": ["self"]}, 422, "kinds: Input should be 'cross', 'encoder' or"),
        ("attention", {"source": "one", "target": ["no piece"]}, 422, "no piece"),
        ("attention", {"source": "x" * 1_001}, 413, "the text has 1,001 characters"),
        ("attention", {"source": "one", "prefix": "x" * 1_000}, 413, "the text has 1,003 characters"),
        ("attention", {"source": "one", "prefix": ["▁eins"] * 200}, 413, "the text has 1,003 characters"),
        ("beam", {"source": "one", "prefix": "x" * 1_000}, 413, "the text has 1,003 characters"),
    ],
)
def test_what_cannot_be_analysed_is_refused(
    client: TestClient, path: str, fields: dict[str, Any], status: int, detail: str
) -> None:
    response = client.post(f"/api/{path}", json={"system": "luong", **fields})
    assert response.status_code == status
    assert detail in response.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({"text": "one"}, 422, "system: Field required"),
        ({"system": "luong"}, 422, "text: Field required"),
        ({"system": "luong", "text": 1}, 422, "text: Input should be a string or a list of strings"),
        ({"system": "luong", "text": ["one", 1]}, 422, "text: Input should be a string or a list of strings"),
        ({"system": "luong", "text": "one", "prefix": {}}, 422, "prefix: Input should be a string or a list of"),
        ({"system": "luong", "text": "one", "n_best": 6}, 422, "n_best=6 must be at most beam_size=5: set beam_size=6"),
        ({"system": "lstm", "text": "one", "n_best": 2}, 422, "n_best=2 must be at most beam_size=1: set beam_size=2"),
        ({"system": "luong", "text": "one", "beam": 2}, 422, "beam: Extra inputs are not permitted"),
        ({"system": "luong", "text": "one", "beam_size": 0}, 422, "beam_size: Input should be greater than or"),
        ({"system": "luong", "text": "one", "beam_size": 10**9}, 422, "beam_size: Input should be less than or"),
        ({"system": "luong", "text": "one", "n_best": 3, "beam_size": 2}, 422, "n_best=3 must be at most beam_size=2"),
        ({"system": "/etc", "text": "one"}, 422, "system: there is no /etc; there are lstm, luong, transformer"),
        ({"system": "lu\nong", "text": "one"}, 422, "system: there is no lu ong; there are lstm, luong, transformer"),
        ({"system": "transformer", "text": "one", "heads_off": ["cross.9.9"]}, 422, "heads_off=cross.9.9"),
        ({"system": "luong", "text": "x" * (MAX_TEXT_CHARACTERS + 1)}, 413, "the text has 20,001 characters, but"),
        ({"system": "luong", "text": [""] * (MAX_LINES + 1)}, 413, "the text has 257 lines, but one request may"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    client: TestClient, fields: dict[str, Any], status: int, detail: str
) -> None:
    response = client.post("/api/translate", json=fields)
    assert (response.status_code, list(response.json())) == (status, ["detail"])
    message = response.json()["detail"]
    assert message.startswith(detail) and "\n" not in message


def test_a_body_that_is_no_json_is_refused(client: TestClient) -> None:
    response = client.post("/api/translate", content=b'{"system', headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (422, {"detail": "the body is not valid JSON"})


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("translate", "system", '"\\ud800"'),
        ("translate", "text", '["one", "\\udc00"]'),
        ("translate", "prefix", '["\\ud800"]'),
        ("translate", "heads_off", '["\\ud800"]'),
        ("attention", "source", '"one \\ud800"'),
        ("force", "target", '"\\ud800"'),
    ],
)
def test_half_of_a_surrogate_pair_is_refused(client: TestClient, path: str, field: str, value: str) -> None:
    """JSON can write it, and Python reads it; but no answer, not even an error, could repeat it."""
    fields = {"system": '"luong"', "text" if path == "translate" else "source": '"one"', field: value}
    body = "{" + ", ".join(f'"{name}": {each}' for name, each in fields.items()) + "}"
    response = client.post(f"/api/{path}", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.json() == {"detail": f"{field}: half of a surrogate pair is no character"}
    pair = body.replace(value, '"\\ud83d\\ude00"')  # a whole pair is a character
    response = client.post(f"/api/{path}", content=pair, headers={"content-type": "application/json"})
    assert "surrogate" not in response.text and response.status_code < 500


def test_one_bad_request_among_many_does_not_affect_the_others(client: TestClient, systems: dict[str, System]) -> None:
    lines = [f"one two {word}" for word in ("one", "three", "five", "seven", "nine")]
    expected = [each.text for each in systems["luong"].translator().translate(lines)]

    def send(line: str) -> Any:
        fields = {"prefix": "☃"} if line == "bad" else {}  # it fails only when the batch is computed
        return client.post("/api/translate", json={"system": "luong", "text": line, **fields})

    with ThreadPoolExecutor(len(lines) + 1) as pool:
        bad, *good = pool.map(send, ["bad", *lines])
    assert bad.status_code == 422
    assert [response.json()["translations"][0][0]["text"] for response in good] == expected


def test_a_defect_is_answered_without_its_traceback(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr(Translator, "translate", fail)
        response = client.post("/api/translate", json={"system": "luong", "text": "one"})
    assert response.status_code == 500
    assert response.json() == {"detail": "a defect of nmt explore: see its messages in the terminal"}
    assert "RuntimeError: a secret" in capsys.readouterr().err
    assert translate(client, "luong", "one")["translations"]
