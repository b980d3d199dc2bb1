"""scripts/train.sbatch, with stand-ins for SLURM's programs: what it starts, and when it queues the job again."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.sbatch"

SRUN = """\
#!/usr/bin/env bash
trap 'echo warned >>seen; exit 1' USR1
echo "$@" >seen
[ -z "$WAITS" ] || for _ in $(seq 200); do sleep 0.05; done
exit 3
"""
SCONTROL = """\
#!/usr/bin/env bash
case $1 in
    show) echo "$3" | tr , '\\n' ;;
    *) echo "$@" >>seen ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What SLURM sets for a job on two machines with four GPUs each. srun and scontrol write their words to `seen`."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_NODELIST": "alpha,beta"}
    return {**os.environ, **job, "PATH": f"{tmp_path}:{os.environ['PATH']}", "WAITS": ""}


def test_torchrun_meets_at_the_first_machine(tmp_path: Path, environment: dict[str, str]) -> None:
    done = subprocess.run([SCRIPT, "model=lstm", "run=a b"], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 3  # that of the training
    words = (tmp_path / "seen").read_text().split()  # and no request to queue the job again
    assert words[:3] == ["torchrun", "--nnodes=2", "--nproc-per-node=4"]
    assert "--rdzv-endpoint=alpha:29500" in words
    assert words[-7:] == ["-m", "nmt", "train", "model=lstm", "run=a", "b", "resume=auto"]


def test_a_warning_leads_to_a_checkpoint_and_a_new_job(tmp_path: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen([SCRIPT], cwd=tmp_path, env=environment | {"WAITS": "yes"}, stderr=subprocess.DEVNULL)
    seen = tmp_path / "seen"
    deadline = time.monotonic() + 60
    while not seen.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)  # until the script waits
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=60) == 1
    assert seen.read_text().splitlines()[1:] == ["warned", "requeue 7"]
