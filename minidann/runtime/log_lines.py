"""Progress for a log file, in whole lines: a bar that is drawn over and over would be one line."""

from typing import Any

from tqdm import tqdm


class LogLines(tqdm):
    """Takes what tqdm takes, and writes lines twice a minute."""

    disable: bool

    def __init__(self, *, desc: str = "", **options: Any) -> None:
        super().__init__(
            desc=f"{desc}: ",  # tqdm adds this to a description only if it is changed later
            mininterval=30,
            maxinterval=60,
            bar_format="{desc}{n_fmt}/{total_fmt} {unit}s, {elapsed} gone, {remaining} to go"
            "{postfix}",
            **options,
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write one line."""
        self.fp.write(f"{self if msg is None else msg}\n")
        self.fp.flush()

    def close(self) -> None:
        """Write the last line, unless the work was over before the first was due."""
        if self.disable:
            return
        self.disable = True
        self._decr_instances(self)
        if self.last_print_t >= self.start_t + self.delay:
            self.display()
