"""What an address asks for that is not here: a package, a certificate, the environment of a token.

The driver goes on without a compressor that it lacks, and meets a missing package only when a server asks who we are.
Nothing here talks to a server.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

COMPRESSORS = ("zstd", "snappy", "zlib")
OIDC_ENVIRONMENTS = ("azure", "gcp", "k8s", "test")
_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
_MODULES = {
    "zstd": (_ZSTD, "pymongo[zstd]"),
    "snappy": ("snappy", "pymongo[snappy]"),
    "zlib": ("zlib", ""),
    "mongodb+srv": ("dns", "dnspython"),
    "MONGODB-AWS": ("pymongo_auth_aws", "pymongo[aws]"),
    "GSSAPI": ("kerberos", "pymongo[gssapi]"),
}
"""The module behind each ability, and what to install for it; nothing does for a part of Python itself."""

_OF_THE_POD = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_TOKEN_FILES = {
    "k8s": ("AWS_WEB_IDENTITY_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE"),
    "test": ("OIDC_TOKEN_FILE",),
}
"""Where a token is a file: the variables that name it, of which the driver takes the first that is set."""


def is_installed(module: str) -> bool:
    """Whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def require(
    options: Mapping[str, str],
    *,
    scheme: str = "mongodb",
    has: Callable[[str], bool] = is_installed,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Make sure that all that an address asks for can be had; the names of its ``options`` are in lower case.

    Raises :class:`ConfigurationError` for the first that cannot.
    """
    for problem in _problems(options, scheme, has, environ):
        raise problem


def _problems(
    options: Mapping[str, str], scheme: str, has: Callable[[str], bool], environ: Mapping[str, str]
) -> Iterator[ConfigurationError]:
    if scheme in _MODULES and not has(_MODULES[scheme][0]):
        yield _missing(f"a look-up ({scheme}://)", scheme)
    for name in filter(None, options.get("compressors", "").split(",")):
        if name not in COMPRESSORS:
            yield ConfigurationError(
                "the MongoDB address asks for a compressor that MongoDB does not have",
                hint=f"compressors= takes {', '.join(COMPRESSORS)}, separated by commas.",
            )
        elif not has(_MODULES[name][0]):
            yield _missing(f"compressors={name}", name)
    mechanism = options.get("authmechanism", "").upper()
    if mechanism in _MODULES and not has(_MODULES[mechanism][0]):
        yield _missing(f"authMechanism={mechanism}", mechanism)
    if mechanism == "MONGODB-X509" and not _shows_certificate(options):
        yield ConfigurationError(
            "the MongoDB address says authMechanism=MONGODB-X509 and names no certificate to show",
            hint="Add tls=true&tlsCertificateKeyFile=FILE (certificate and key in one file) to REPLICATOR_MONGO_URI.",
        )
    if mechanism == "MONGODB-OIDC":
        yield from _token_problems(options, environ)


def _missing(option: str, ability: str) -> ConfigurationError:
    module, package = _MODULES[ability]
    install = f"{sys.executable} -m pip install '{package}'" if package else "Use a Python that was built with it"
    return ConfigurationError(
        f"the MongoDB address asks for {option}, and the Python package for it ({module}) is not installed",
        hint=f"{install}; the image of this project has zstd, snappy, MONGODB-AWS and mongodb+srv. Or do without it.",
    )


def _shows_certificate(options: Mapping[str, str]) -> bool:
    is_encrypted = options.get("tls", options.get("ssl", "")).lower() == "true"
    return is_encrypted and bool(options.get("tlscertificatekeyfile"))


def _token_problems(options: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[ConfigurationError]:
    """A service has nobody to open a browser for it: the token comes from the machine that it runs on."""
    pairs = options.get("authmechanismproperties", "").split(",")
    named = {name.strip(): value for name, _, value in (pair.partition(":") for pair in pairs)}
    where = named.get("ENVIRONMENT", "")
    if where not in OIDC_ENVIRONMENTS:
        yield ConfigurationError(
            "the MongoDB address says authMechanism=MONGODB-OIDC and not where its token comes from",
            hint="Add authMechanismProperties=ENVIRONMENT:k8s (or ENVIRONMENT:azure,TOKEN_RESOURCE:..., "
            "ENVIRONMENT:gcp,TOKEN_RESOURCE:...) to REPLICATOR_MONGO_URI.",
        )
    elif where in ("azure", "gcp") and not named.get("TOKEN_RESOURCE"):
        yield ConfigurationError(
            f"the MongoDB address asks for a token of {where} and does not say for what",
            hint=f"Add the audience: authMechanismProperties=ENVIRONMENT:{where},TOKEN_RESOURCE:AUDIENCE",
        )
    elif where in _TOKEN_FILES:
        variables = _TOKEN_FILES[where]
        file = next((environ[name] for name in variables if environ.get(name)), _OF_THE_POD if where == "k8s" else "")
        if not os.access(file, os.R_OK) or not Path(file).is_file():
            yield ConfigurationError(
                f"the MongoDB address asks for the token of ENVIRONMENT:{where}, and its file cannot be read "
                f"({file or 'none is named'})",
                hint=f"It is the file that {' or '.join(variables)} names"
                + (", otherwise the Pod's own (automountServiceAccountToken)." if where == "k8s" else "."),
            )
