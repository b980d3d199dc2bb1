"""LibreTranslate's calls: the real client is served, and the answers have LibreTranslate's shapes.

The expected shapes and status codes are those of libretranslate/app.py in version 1.9.
"""

import json
from typing import Any
from urllib.error import HTTPError

import pytest
from fastapi.testclient import TestClient
from libretranslatepy import LibreTranslateAPI

from nmt.explore.systems import System


def test_the_real_client_lists_detects_and_translates(address: str, systems: dict[str, System]) -> None:
    client = LibreTranslateAPI(address, api_key="any")
    assert client.languages() == [
        {"code": "en", "name": "English", "targets": ["de"]},
        {"code": "de", "name": "German", "targets": []},
    ]
    assert client.detect("one two") == [{"confidence": 0, "language": "en"}]
    expected = next(iter(systems.values())).translator().translate("one two & three").text
    assert client.translate("one two & three", "en", "de") == expected
    with pytest.raises(HTTPError, match="400") as raised:
        client.translate("one", "en", "fr")
    assert json.load(raised.value) == {"error": "no system translates from en to fr: there is en to de"}


def translate(client: TestClient, **fields: Any) -> Any:
    """The answer of /translate to JSON."""
    response = client.post("/translate", json={"source": "en", "target": "de", **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_text_or_a_list_gets_an_answer_of_its_kind(client: TestClient, systems: dict[str, System]) -> None:
    one, two, empty = (
        each.text for each in next(iter(systems.values())).translator().translate(["one", "two five", ""])
    )
    assert translate(client, q="one") == {"translatedText": one}
    assert translate(client, q=["one", "two five"]) == {"translatedText": [one, two]}
    assert translate(client, q="one\n\ntwo five") == {"translatedText": f"{one}\n{empty}\n{two}"}
    assert translate(client, q="one\r\ntwo five\n") == {"translatedText": f"{one}\n{two}\n"}
    assert "\n" not in translate(client, q="one\u2028two five")["translatedText"]
    assert translate(client, q="one", source="auto", target="DE") == {
        "translatedText": one,
        "detectedLanguage": {"confidence": 0, "language": "en"},
    }
    assert translate(client, q=["one", "two five"], source="auto")["detectedLanguage"] == [
        {"confidence": 0, "language": "en"},
        {"confidence": 0, "language": "en"},
    ]
    form = {"q": "one", "source": "en", "target": "de", "format": "text", "api_key": ""}
    assert client.post("/translate", data=form).json() == {"translatedText": one}


def test_alternatives_are_other_translations(client: TestClient, systems: dict[str, System]) -> None:
    lstm = systems["lstm"].translator()
    assert lstm.search.beam_size == 1  # so the alternatives come from a wider beam
    best, wider = lstm.translate("one").text, [each.text for each in lstm.translate("one", n_best=3, beam_size=3)]
    assert best not in wider  # it stays nevertheless
    assert translate(client, q="one", alternatives=2) == {"translatedText": best, "alternatives": wider[:2]}
    answer = translate(client, q=["one", "two"], alternatives=1)
    assert [len(each) for each in answer["alternatives"]] == [1, 1]
    form = {"q": "one", "source": "en", "target": "de", "alternatives": "2"}
    assert client.post("/translate", data=form).json() == translate(client, q="one", alternatives=2)


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"q": ""}, 400, "Invalid request: q: String should have at least 1 character"),
        ({"q": None}, 400, "Invalid request: q: Input should be a string or a list of strings"),
        ({"q": []}, 400, "Invalid request: q: List should have at least 1 item"),
        ({"q": "one", "format": "html"}, 400, "Invalid request: format: Input should be 'text'"),
        ({"q": "one", "alternatives": "many"}, 400, "Invalid request: alternatives: Input should be a valid integer"),
        ({"q": "one", "alternatives": 10}, 400, "Invalid request: alternatives: Input should be less than or equal"),
        ({"q": "one", "source": "de", "target": "en"}, 400, "no system translates from de to en: there is en to de"),
        ({"q": "x" * 20_001}, 400, "Invalid request: the text has 20,001 characters, but one request may have 20,000"),
        ({"q": "x" * 300_000}, 413, "the request is larger than 262,144 bytes"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    client: TestClient, fields: dict[str, Any], status: int, error: str
) -> None:
    response = client.post("/translate", json={"source": "en", "target": "de"} | fields)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert response.json()["error"].startswith(error)


def test_a_body_of_another_kind_is_refused(client: TestClient) -> None:
    for content, kind in ((b"one", "text/plain"), (b"{", "application/json"), (b"[1]", "application/json")):
        response = client.post("/translate", content=content, headers={"content-type": kind})
        assert (response.status_code, list(response.json())) == (400, ["error"])
    assert "send JSON" in client.post("/translate", files={"q": b"one"}).json()["error"]


def test_clients_learn_what_the_server_can_do(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    settings = client.get("/frontend/settings").json()
    assert settings["language"] == {
        "source": {"code": "en", "name": "English"},
        "target": {"code": "de", "name": "German"},
    }
    assert (settings["charLimit"], settings["keyRequired"], settings["filesTranslation"]) == (20_000, False, False)
    refused = client.post("/translate_file", files={"file": ("a.txt", b"one")})
    assert (refused.status_code, list(refused.json())) == (403, ["error"])
    refused = client.post("/suggest", data={"q": "one", "s": "eins", "source": "en", "target": "de"})
    assert (refused.status_code, list(refused.json())) == (403, ["error"])
