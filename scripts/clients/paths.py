"""Paths in Starknet's tries, from the root down, as a contract verifies them."""

from scripts.clients.proofs import Answer, node_hash, number


def path_to(root: int, key: int, listed: list[Answer]) -> list[int]:
    """Write the nodes from a root down to a key as the contract reads them, their number first."""
    nodes = {node_hash(each["node"]): each["node"] for each in listed}
    here, bits, count = root, 251, 0
    felts: list[int] = []
    while bits > 0:
        node, count = nodes[here], count + 1
        if "left" in node:
            bits -= 1
            sides = [number(node["left"]), number(node["right"])]
            felts, here = [*felts, 0, *sides], sides[key >> bits & 1]
        else:
            bits -= node["length"]
            here = number(node["child"])
            felts = [*felts, 1, number(node["path"]), node["length"], here]
    return [count, *felts]
