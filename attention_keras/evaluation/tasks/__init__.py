"""One experiment each: `run(context) -> TaskResult`; the measures are pure functions one level up."""
