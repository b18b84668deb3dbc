"""A simple reference implementation of `dedup`, which compares every pair and is slow.

Rows are dicts of id, text, side (1: to compare against) and the columns that options name. The scores of
pairs of texts and the candidates are given; docs/dedup_rules.md has the rule.
"""

from collections import defaultdict
from itertools import combinations

import numpy as np


def deduplicate(rows, order, candidates, score, threshold, o):
    """The fate of each row of side 0, (survivor, source, rule) or None, and its cluster.

    `order` has the rank of each row by the keep policy, `candidates(a, b)` returns the names of the sources
    of a pair of nodes, and `score(text, text)` a score. `o` has merge, compare_blank, against, within,
    central, one_to_one and average.
    """
    groups = defaultdict(list)  # rows of equal text and side are one node
    for row in rows:
        alone = not o.merge or blank(row, o) or (o.against and not o.within and row["side"] == 0)
        groups[row["side"], row["text"], row["id"] if alone else None].append(row)
    nodes = sorted(groups.values(), key=lambda node: min(key(row) for row in node))
    best = [min(node, key=order) for node in nodes]
    side = [node[0]["side"] for node in nodes]
    rank = sorted(range(len(nodes)), key=lambda n: (side[n], order(best[n])))
    rank = {node: place for place, node in enumerate(rank)}

    def like(a, b):
        a, b = nodes[a][0]["text"], nodes[b][0]["text"]
        return np.float32(1) if a == b else np.float32(score(*sorted((a, b))))

    found = {}  # the candidate pairs, with their sources
    for a, b in combinations(range(len(nodes)), 2):
        own = side[a] == side[b] == 0
        asked = (own and (o.within or not o.against)) or side[a] != side[b]
        empty = blank(nodes[a][0], o) or blank(nodes[b][0], o)
        if asked and not empty and (sources := candidates(nodes[a], nodes[b])):
            found[a, b] = "+".join(sources)
    scores = {pair: like(*pair) for pair in found}
    links = {pair for pair, value in scores.items() if value >= np.float32(threshold)}
    if o.average:
        cluster = average(nodes, scores, threshold)
        links = {(a, b) for a, b in links if cluster[a] == cluster[b]}
    if o.central:
        strength = {n: float(len(nodes[n]) - 1) for n in rank}
        for a, b in [pair for pair, value in scores.items() if value >= np.float32(threshold)]:
            strength[a] += float(scores[a, b]) * len(nodes[b])
            strength[b] += float(scores[a, b]) * len(nodes[a])
        o.strengths = sorted(strength.values())
        rank = {n: (-round(strength[n], 6), rank[n]) for n in rank}

    goes = {}  # node: its survivor
    cross = [(a, b) if side[a] == 0 else (b, a) for a, b in links if side[a] != side[b]]
    pick = {
        n: min((t for m, t in cross if m == n), key=lambda t, n=n: (-scores[pair(n, t)], rank[t]))
        for n, _ in cross
    }
    back = {
        t: min((n for n, u in cross if u == t), key=lambda n, t=t: (-scores[pair(n, t)], rank[n]))
        for _, t in cross
    }
    goes = {n: t for n, t in pick.items() if not o.one_to_one or back[t] == n}
    rest = [p for p in links if not any(side[n] or n in goes for n in p)]
    for part in components(len(nodes), rest):
        left = sorted(part, key=rank.get)
        while left:
            head, *others = left
            gone = [n for n in others if like(head, n) >= np.float32(threshold)]
            goes.update(dict.fromkeys(gone, head))
            left = [n for n in others if n not in gone]

    fate, name = {}, {}
    for part in components(len(nodes), links):
        members = [row for n in part for row in nodes[n]]
        name.update(dict.fromkeys(map(key, members), min(map(key, members))))
    for n, node in enumerate(nodes):
        for row in node:
            if row["side"] == 1:
                continue
            if n in goes:
                ends = pair(n, goes[n])
                equal = nodes[n][0]["text"] == nodes[goes[n]][0]["text"]
                fate[row["id"]] = (
                    key(best[goes[n]]),
                    found.get(ends, "guard"),
                    "identical" if equal else "model",
                )
            else:
                fate[row["id"]] = None if row is best[n] else (key(best[n]), "exact", "identical")
    return fate, name, scores


def key(row):
    return row["side"], row["id"]


def pair(a, b):
    return min(a, b), max(a, b)


def blank(row, o):
    return not row["text"].strip() and not o.compare_blank


def components(count, links):
    label = list(range(count))
    for _ in range(count):
        for a, b in links:
            label[a] = label[b] = min(label[a], label[b])
    return [[n for n in range(count) if label[n] == name] for name in sorted(set(label))]


def average(nodes, scores, threshold):
    """Merge the two clusters with the highest mean while it reaches the threshold; a missing score is 0."""
    clusters = [[n] for n in range(len(nodes))]

    def mean(one, other):
        total = sum(
            float(scores.get(pair(a, b), 0)) * len(nodes[a]) * len(nodes[b]) for a in one for b in other
        )
        return total / (sum(len(nodes[a]) for a in one) * sum(len(nodes[b]) for b in other))

    while len(clusters) > 1:
        one, other = max(combinations(clusters, 2), key=lambda two: mean(*two))
        if mean(one, other) < float(np.float32(threshold)):
            break
        clusters = [c for c in clusters if c not in (one, other)] + [one + other]
    return {n: min(c) for c in clusters for n in c}
