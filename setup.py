"""Installs minidann: ``pip install -e .``

For a GPU ``.[cuda12]`` or ``.[cuda13]``; to develop ``.[test]``, ``.[check]``, ``.[contract]``,
``.[benchmark]`` and ``.[docs]``. Tools are configured in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

CLUSTER = ["dask>=2024.5", "distributed>=2024.5"]
here = Path(__file__).parent
package = (here / "minidann" / "__init__.py").read_text()
version = re.search(r'__version__ = "(.+)"', package).group(1)

setup(
    name="minidann",
    version=version,
    description="Domain-adversarial training of neural networks, "
    "every derivative written by hand in NumPy",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    packages=find_packages(include=["minidann", "minidann.*"]),
    package_data={"minidann": ["py.typed", "experiments/blobs-tf-dann.json"]},
    python_requires=">=3.11",
    # All that the package imports is named, also what scikit-learn (scipy, threadpoolctl) and
    # matplotlib (pillow) bring. The lowest versions work together: .ci/run tries them.
    install_requires=[
        "numpy>=2.0",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "threadpoolctl>=3.5",
        "matplotlib>=3.9",
        "pillow>=10",
        "tqdm>=4.66",
    ],
    extras_require={
        # dask and distributed: what --cluster runs on is tested with a cluster of two processes
        "test": ["pytest>=8", "hypothesis>=6.100", *CLUSTER],
        # --cluster: runs on many machines (docs/cluster.md)
        "cluster": CLUSTER,
        # pinned: another version of these formats or judges the same code differently
        "check": ["ruff==0.17.6", "mypy==2.4.1"],
        # ctk: the libraries of CUDA that CuPy calls (cuBLAS, NVRTC ...), so that the driver is all
        # that a machine must have
        "cuda12": ["cupy-cuda12x[ctk]>=14.0"],
        "cuda13": ["cupy-cuda13x[ctk]>=14.0"],
        # the site. furo: readable on a phone, and asks no other site for fonts or scripts;
        # myst-parser: the pages are Markdown, as the repository's hosts show it; sphinx-gallery
        # runs the tutorials; sphinx-mathjax-offline brings MathJax, since what makes MathML in
        # Python (docutils, latex2mathml) got some of the tutorials' formulas wrong
        "docs": [
            "sphinx>=9.0",
            "furo>=2025.12.19",
            "myst-parser>=5.0",
            "sphinx-gallery>=0.22",
            "sphinx-mathjax-offline>=0.0.2",
        ],
        "benchmark": ["torch>=2.4"],  # what python -m benchmarks.step --against torch compares with
        # CuPy without a GPU: what tests/test_cupy_contract.py asks, and the compiler that it hands
        # kernels to
        "contract": ["cupy-cuda13x>=14.0", "nvidia-cuda-nvrtc>=13", "nvidia-cuda-runtime>=13"],
    },
)
