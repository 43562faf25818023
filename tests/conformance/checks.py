"""The checks: an undisturbed run, and runs that are killed, stopped, resumed and repeated."""

import bookmarks
from comparison import Truth, compare
from messages import Violation, last_state, read
from tap import Place
from target import Target


def complete(description, output):
    """Raises if a run that was left alone didn't end as it should."""
    if output.forced:
        raise Violation(f"{output.forced} within {description.timeout_seconds} s\n{output.log}")
    if output.exit_code not in description.exit_codes:
        raise Violation(f"exit code {output.exit_code}\n{output.log}")
    if output.rest:
        raise Violation(f"the output ends within a line: {output.rest[:200]!r}")


class Chain:
    """Runs that follow each other, each from the last STATE of those before."""

    def __init__(self, description, tap, sound, target=None, state=None):
        self.description, self.tap, self.sound = description, tap, sound
        self.target = target.copy() if target else Target()
        self.state = state
        self.states = [] if state is None else [state]
        # What happened, a line for each run.
        self.story = []
        # How many runs were resumed from a STATE of a disturbed one.
        self.resumed = 0

    def take(self, output, what, flushed=True):
        """Loads a run's messages as a target does that ends with the tap. It may have flushed all
        of them, or only those up to the last STATE, which is what it vouches for."""
        messages = read(output, self.sound)
        whole, state = last_state(messages)
        kept = len(messages) if flushed else whole
        self.target.load(messages[:kept])
        self.states += [message["value"] for message in messages if message["type"] == "STATE"]
        self.state = self.state if state is None else state
        self.story.append(f"{what}, {kept} of {len(messages)} messages kept")
        self.resumed += output.disturbed and state is not None
        return messages

    def finish(self, what="ran to its end"):
        """A run that is left alone; its output."""
        output = self.tap.run(self.state)
        self.take_complete(output, what)
        return output

    def take_complete(self, output, what):
        complete(self.description, output)
        self.take(output, what)

    def kill(self, random, size):
        """A run that is killed at a random place; whether it had ended before."""
        place = Place.draw(random, *size)
        drain, flushed = random.random() < 0.5, random.random() < 0.5
        output = self.tap.run(self.state, kill=place, drain=drain)
        if not output.disturbed:
            self.take_complete(output, f"ended before {place}")
            return True
        how = "the pipe read to its end" if drain else "what was in the pipe dropped"
        self.take(output, f"killed after {place}, {how}", flushed)
        return False

    def stop(self, random, size):
        """A run that gets SIGTERM at a random place; whether it had ended before."""
        place = Place.draw(random, *size)
        output = self.tap.run(self.state, stop=place)
        if not output.disturbed:
            self.take_complete(output, f"ended before {place}")
            return True
        what = f"SIGTERM after {place}: exit code {output.exit_code} in {output.seconds:.1f} s"
        if output.forced:
            self.story.append(f"SIGTERM after {place}")
            raise Violation(f"{output.forced} within {self.description.grace_seconds} s")
        return self._stopped(output, self.take(output, what))

    def _stopped(self, output, messages):
        """Holds the end of a stopped run to the rules; whether it was complete."""
        description = self.description
        # A tap that SIGTERM ends at once may be within a line.
        if output.rest and output.exit_code >= 0:
            raise Violation(f"the output ends within a line: {output.rest[:200]!r}")
        codes = description.stopped_exit_codes
        if output.exit_code == 0 and 0 not in (codes or []):
            # Whoever started it takes this run for a complete one.
            return True
        if codes is not None and output.exit_code not in codes:
            raise Violation(f"exit code {output.exit_code} after SIGTERM, expected {codes}")
        if description.stopped_with_state and messages and messages[-1]["type"] != "STATE":
            raise Violation("SIGTERM, and the last line is no STATE")
        return False

    def judge(self, expected):
        """Raises if the target doesn't hold what it should, or a bookmark went back."""
        bookmarks.check(self.states, self.description.bookmark_keys)
        compare(self.description, self.target, expected)


class Checks:
    """All checks of a tap. `expected` is what an undisturbed run leaves in a target."""

    def __init__(self, description, tap, report):
        self.description, self.tap, self.report = description, tap, report
        # The lines that were found to fit their schema.
        self.sound = set()
        self.whole = self._chain()
        self.size = 0, 0

    def undisturbed(self):
        """The run that all others are compared with; whether it is fit for that."""
        report = self.report
        with report.check("an undisturbed run is valid, and ends as it should"):
            output = self.whole.finish()
            self.size = len(output.lines), len(output.data)
            if not any(self.whole.target.tables.values()):
                raise Violation("it wrote no records")
            report.detail(f"{self.size[0]} lines, {self.size[1]} bytes")
        if report.failures:
            return False
        with report.check("its bookmarks never go back"):
            bookmarks.check(self.whole.states, self.description.bookmark_keys)
            report.detail(f"{len(self.whole.states)} STATE messages")
        self._truth("a target holds the truth after it", self.whole.target)
        return not report.failures

    def _truth(self, what, target):
        lines = self.description.truth_lines()
        if lines is None:
            return
        with self.report.check(what):
            if not lines:
                raise Violation("the truth is empty")
            Truth(lines).compare(self.description, target)
            self.report.detail(f"{len(lines)} lines of truth")

    def again(self):
        with self.report.check("a run from its last STATE changes no row"):
            if self.whole.state is None:
                raise Violation("the undisturbed run wrote no STATE")
            chain = self._chain(self.whole)
            output = chain.finish()
            chain.judge(self.whole.target)
            self.report.detail(f"{len(output.lines)} lines again")

    def _chain(self, before=None):
        if before is None:
            return Chain(self.description, self.tap, self.sound)
        return Chain(self.description, self.tap, self.sound, before.target, before.state)

    def killed(self, name, random, before=None, expected=None, size=None):
        """Kills and resumes until the tap is done."""
        chain = self._chain(before)
        with self.report.check(name, chain.story):
            for _ in range(random.randint(1, self.description.kills)):
                if chain.kill(random, size or self.size):
                    break
            else:
                chain.finish()
            chain.judge(expected or self.whole.target)
            self._count(chain)

    def stopped(self, name, random):
        chain = self._chain()
        with self.report.check(name, chain.story):
            if chain.stop(random, self.size):
                chain.story.append("not resumed: it ended as if it was complete")
            else:
                chain.finish()
            chain.judge(self.whole.target)
            self._count(chain)

    def _count(self, chain):
        self.report.resumed += chain.resumed
        self.report.detail(f"{len(chain.story)} runs, {chain.resumed} resumed from a STATE")

    def changed(self, chances):
        """Changes the source, and goes on from the state before that."""
        description = self.description
        description.output(description.change)
        fresh = self._chain()
        with self.report.check("after the change: an undisturbed run from the start is valid"):
            fresh.finish()
        self._truth("after the change: a target holds the truth after it", fresh.target)
        later, size = self._chain(self.whole), self.size
        name = "after the change: a run from the state before brings what is new"
        with self.report.check(name, later.story):
            output = later.finish()
            size = len(output.lines), len(output.data)
            later.judge(fresh.target)
            self.report.detail(f"{size[0]} lines")
        for name, random in chances.items():
            self.killed(name, random, self.whole, fresh.target, size)
