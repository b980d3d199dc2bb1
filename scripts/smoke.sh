#!/usr/bin/env bash
# Tries an installed `nmt` in an empty folder, outside the checkout: trains a small system on the built-in corpus, scores
# it, translates, draws attention, and asks the explorer for its page and a translation. Takes a minute on one core.
set -euo pipefail
folder=$(mktemp -d)
cd "$folder"
unset PYTHONPATH
nmt --version
nmt train experiment=demo_recurrent model=lstm_luong run=run data.train_size=1000 data.val_size=20 \
    trainer.max_steps=20 trainer.validate_every=10 device=cpu
nmt evaluate run=run split=val device=cpu
test "$(echo "The dog runs." | nmt translate run=run device=cpu | wc -l)" = 1
nmt plot run=run source="The dog runs." out=dog.png device=cpu
nmt plot run=run source="The dog runs." out=dog.html device=cpu
nmt export --help >help.txt
nmt explore run=run port=0 device=cpu >address.txt 2>explorer.log &
explorer=$!
trap 'kill "$explorer"' EXIT
for _ in $(seq 120); do
    [ ! -s address.txt ] || break
    sleep 1
done
python - "$(cat address.txt)" <<'PROGRAM'
import json, sys, urllib.request
address = sys.argv[1]
page = urllib.request.urlopen(address).read().decode()
assert "<html" in page and "main.js" in page, page
request = urllib.request.Request(
    f"{address}translate",
    json.dumps({"q": "The dog runs.", "source": "en", "target": "de"}).encode(),
    {"Content-Type": "application/json"},
)
print("the explorer answers", urllib.request.urlopen(request).read().decode())
PROGRAM
echo "nmt works in $folder"
