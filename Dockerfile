# nmt on a CPU: the demonstration, the explorer, and every other command.
#
#   docker build -t nmt .
#   docker run --rm -v nmt-runs:/work/runs nmt demo
#   docker run --rm -v nmt-runs:/work/runs -p 127.0.0.1:8765:8765 nmt
#
# The second line trains the four systems of the demonstration (5 minutes on 2 cores), the third one serves them at
# http://127.0.0.1:8765/.
FROM python:3.11-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY conf conf
COPY nmt nmt
# The CPU build of torch comes from PyTorch's own index: the one on PyPI brings 5 GB of libraries for GPUs.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[explore]'

# Everything is written below /work, by a user without privileges; the volume gets its permissions from this folder.
RUN mkdir -p /work/runs && chown -R 1000:1000 /work
ENV HOME=/work
WORKDIR /work
USER 1000:1000
VOLUME /work/runs
EXPOSE 8765

ENTRYPOINT ["nmt"]
CMD ["explore", "runs=[runs/demo/lstm,runs/demo/lstm_bahdanau,runs/demo/lstm_luong,runs/demo/transformer]", "host=0.0.0.0"]
