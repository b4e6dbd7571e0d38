# The desk in a container; README.md says how to build and start it.
FROM python:3.12-slim

# From the package index comes torch as it is built for Linux: it runs on a CPU, and with
# “docker run --gpus all” on a card, whose libraries are most of the image. For a build that knows the
# CPU alone, or another CUDA, pass what PyTorch's installation page shows behind “pip install”:
# --build-arg PIP_ARGUMENTS="--index-url …"
ARG PIP_ARGUMENTS=""
RUN pip install --no-cache-dir $PIP_ARGUMENTS torch torchvision

WORKDIR /source
COPY al_core al_core
COPY al_desk al_desk
COPY .streamlit .streamlit
COPY pyproject.toml setup.py streamlit_app.py requirements*.txt README.md LICENSE ./
RUN pip install --no-cache-dir ".[postgresql]" \
    && useradd --create-home desk && install -d -o desk -g desk /data

# A container's own addresses are those its port is published from: “docker run -p” says to whom.
ENV AL_HOME=/data TORCH_HOME=/data/torch
ENV STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_SERVER_HEADLESS=true
USER desk
WORKDIR /home/desk
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health')"
ENTRYPOINT ["al-desk"]
