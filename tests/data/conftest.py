from collections.abc import Iterator

import datasets
import hypothesis
import pytest

# The same examples in every run, and no clock: machines differ and are shared.
hypothesis.settings.register_profile("nmt", derandomize=True, deadline=None)
hypothesis.settings.load_profile("nmt")


@pytest.fixture(scope="session", autouse=True)
def datasets_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests' own cache: the user's is neither read nor written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield
