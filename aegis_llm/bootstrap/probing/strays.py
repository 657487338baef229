"""Where a variable of Ollama is set for shells, which a service does not read."""

from __future__ import annotations

from pathlib import Path

from aegis_llm.bootstrap.probing.environment import of_shell
from aegis_llm.bootstrap.probing.files import Tree

_OF_ALL = ("/etc/environment", "/etc/profile", "/etc/bash.bashrc", "/etc/zsh/zshrc",
           "/etc/zshenv", "/etc/zshrc")  # fmt: skip
_OF_ONE = (".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc", ".zprofile",
           ".zshenv", ".config/fish/config.fish", ".pam_environment")  # fmt: skip


def strays(root: Path = Path("/")) -> dict[str, dict[str, str]]:
    """Return the variables of inference that files of shells set, by the path of the file.

    Paths are those of the machine, without `root`. A service of systemd, a container and an app
    read none of these files; only `ollama serve` that is started in such a shell does.
    """
    tree = Tree(root)
    paths = [*_OF_ALL, *tree.matching("/etc/profile.d", "*.sh")]
    for home in _homes(tree):
        paths += [f"{home}/{name}" for name in _OF_ONE]
    found = {path: of_shell(tree.text(path) or "") for path in dict.fromkeys(paths)}
    return {path: variables for path, variables in found.items() if variables}


def _homes(tree: Tree) -> list[str]:
    """Return the home folders of people and of the service."""
    homes = [line.split(":")[5] for line in (tree.text("/etc/passwd") or "").splitlines()
             if line.count(":") == 6]  # fmt: skip
    homes += [f"/home/{name}" for name in tree.names("/home")]
    homes += [f"/Users/{name}" for name in tree.names("/Users")]
    if tree.here:
        homes.append(str(Path.home()))
    own = [home.rstrip("/") for home in homes if home not in ("", "/", "/nonexistent")]
    return list(dict.fromkeys(own))
