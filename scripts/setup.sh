# Sourced by demo.sh and test.sh: changes to the project's root and defines set_up, which creates .venv there and
# installs the project into it. It installs once, and again after pyproject.toml or constraints.txt has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "nmt needs Python 3.11 or newer; python3 here is $(python3 --version 2>&1 || true)" >&2
    return 1
}

# set_up [EXTRA]: installs the packages that run the project; with EXTRA=dev also those that test it.
# .venv/installed[-EXTRA] holds the checksum of the two files at the last installation.
set_up() {
    local extra=${1:-} wanted stamp python
    wanted=$(cat pyproject.toml constraints.txt | cksum)
    for stamp in ".venv/installed${extra:+-$extra}" .venv/installed-dev; do
        if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
            return
        fi
    done
    if [ ! -x .venv/bin/pip ]; then
        python=$(find_python)
        echo "Creating .venv with $("$python" --version)" >&2
        "$python" -m venv .venv >/dev/null || {
            echo "$python -m venv failed; on Debian and Ubuntu, install it with: apt install python3-venv" >&2
            return 1
        }
    fi
    echo "Installing nmt and its dependencies into .venv (takes minutes the first time)" >&2
    .venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".${extra:+[$extra]}"
    echo "$wanted" >".venv/installed${extra:+-$extra}"
}
