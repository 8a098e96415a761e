"""R4 for aliases: whoever races for one, one writer moves it, and the others are told what it names now."""

import itertools
import json
import os
import re
import subprocess
import sys

from reliability.drills_publishing import TESTS, folder, small_draft

from registry import open_registry

WRITERS = 3

# Each process waits for the round's mark on its standard input, so that all begin at the same moment.
RACER = """
import json, sys
from registry import open_registry
from registry.errors import Conflict
store, version, rolls_back = open_registry(sys.argv[1]), sys.argv[2], sys.argv[3] == "True"
print("ready", flush=True)
for line in sys.stdin:
    expect = json.loads(line)
    try:
        if rolls_back and store.history("word/word", "production")[-1].undo_to:
            move = store.rollback("word/word", "production", expect=expect)
        else:
            move = store.promote(f"word/word@{version}", "production", expect=expect)
        said = {"won": move.version, "number": move.number}
    except Conflict as error:
        said = {"told": str(error)}
    print(json.dumps(said), flush=True)
"""
# Versions 1 to 3 belong to a writer each; 4 is where every round begins.
BASE = WRITERS + 1


def racing_promotions(times):
    """R4-alias: three processes, which all expect the same, promote or roll back at the same moment."""
    with folder() as root:
        store = open_registry(root)
        for _ in range(BASE):
            store.publish(small_draft())
        store.promote(f"word/word@v{BASE}", "production")
        racers = [_start(root, f"v{number}", number == WRITERS) for number in range(1, BASE)]
        for racer in racers:
            racer.stdout.readline()
        problems = []
        for number in range(times):
            now = store.history("word/word", "production")[-1]
            for racer in racers:
                print(json.dumps(f"v{now.version}"), file=racer.stdin, flush=True)
            said = [json.loads(racer.stdout.readline()) for racer in racers]
            problems += [f"round {number}: {problem}" for problem in _judge(store, now.number, said)]
            store.promote(f"word/word@v{BASE}", "production")
        for racer in racers:
            racer.communicate()
        fresh = open_registry(root)
        moves = fresh.history("word/word", "production")
        if [move.number for move in moves] != list(range(1, len(moves) + 1)):
            problems.append(f"the history has the numbers {[move.number for move in moves]}")
        if any(after.previous != before.version for before, after in itertools.pairwise(moves)):
            problems.append("a move of the history does not begin where the one before it ended")
        return times, problems + list(fresh.verify().problems)


def _start(root, version, rolls_back):
    command = [sys.executable, "-c", RACER, str(root), version, str(rolls_back)]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _judge(store, before, said):
    """What is wrong with the answers to one round."""
    won = [answer for answer in said if "won" in answer]
    if len(won) != 1:
        yield f"{len(won)} winners: {said}"
    move = store.history("word/word", "production")[before]
    if any((answer["won"], answer["number"]) != (move.version, move.number) for answer in won):
        yield f"the winner was told {won}, the history says {move}"
    for answer in said:
        if "told" in answer and not re.search(rf"it is at v{move.version}\b", answer["told"]):
            yield f"a loser was told {answer['told']!r}, but the alias is at v{move.version}"


DRILLS = {"R4-alias": (racing_promotions, 40)}
