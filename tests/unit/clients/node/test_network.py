"""The section ``[network]`` of a node's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.node.network import Network, key_path, load_network
from fl_core.errors import InputError


def written(folder: Path, section: str) -> Path:
    (folder / "node.toml").write_text(f'name = "A"\n{section}')
    return folder


def test_without_the_section_a_node_has_no_partners_and_its_usual_key(tmp_path):
    network = load_network(written(tmp_path, ""))
    assert (network.superlink_url, network.relay, network.ca) == ("", "", "")
    assert key_path(tmp_path, network) == tmp_path / "keys" / "supernode.pem"


def test_files_are_relative_to_the_nodes_folder(tmp_path):
    network = load_network(written(tmp_path, '[network]\nca = "ca.pem"\nnode_key = "/etc/k.pem"\n'))
    assert network.ca == str(tmp_path / "ca.pem")
    assert key_path(tmp_path, network) == Path("/etc/k.pem")


@pytest.mark.parametrize(
    ("superlink", "insecure", "url"),
    [
        ("fl.example.org:9092", False, "https://fl.example.org:9092"),
        ("127.0.0.1:9092", True, "http://127.0.0.1:9092"),
        ("https://fl.example.org:9092", True, "https://fl.example.org:9092"),
    ],
)
def test_a_superlink_without_a_scheme_is_reached_over_tls_unless_told_otherwise(superlink, insecure, url):
    assert Network(superlink=superlink, insecure=insecure).superlink_url == url


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("superlnk = 'x'", "has no key 'superlnk'"),
        ("superlink = 7", "superlink is no text"),
        ("insecure = 'no'", "insecure is no true or false"),
        ("gateway_port = true", "gateway_port is no whole number"),
        ("gateway_port = 0", "between 1 and 65535"),
        ("gateway_port = 9094", "are the same"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_the_keys_that_there_are(tmp_path, line, problem):
    with pytest.raises(InputError, match=problem) as caught:
        load_network(written(tmp_path, f"[network]\n{line}\n"))
    assert "superlink, relay, ca, insecure, node_key, gateway_port, supernode_port" in caught.value.fix
