"""One experiment each: a function `Context -> TaskResult` that composes explanations, measures and report."""
