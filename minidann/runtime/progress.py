"""How far work has come: a bar on a terminal, lines in a log file."""

import sys

from tqdm import tqdm


def progress_bar(total, description="", row=None, unit="step", **options):
    """A bar over ``total`` steps; on line ``row`` of the terminal if several run at once. Into a file it writes a line twice a minute.

    ``options`` are tqdm's own.
    """
    if not sys.stderr.isatty():
        # tqdm ends a description that is changed later with ": " itself
        return LogLines(
            total=total,
            desc=f"{description}: ",
            unit=unit,
            mininterval=30,
            maxinterval=60,
            bar_format=LogLines.FORMAT,
            **options,
        )
    return tqdm(
        total=total,
        desc=description,
        unit=unit,
        dynamic_ncols=True,
        position=row,
        leave=row is None,
        **options,
    )


class LogLines(tqdm):
    """Progress as whole lines, for a log file, where a bar that is drawn over and over would be one endless line."""

    FORMAT = "{desc}{n_fmt}/{total_fmt} {unit}s, {elapsed} gone, {remaining} to go{postfix}"

    def display(self, msg=None, pos=None):
        """Write one line."""
        print(self if msg is None else msg, file=sys.stderr, flush=True)

    def close(self):
        """Write the last line, unless the work was over before the first was due."""
        if self.disable:
            return
        self.disable = True
        self._decr_instances(self)
        if self.last_print_t >= self.start_t + self.delay:
            self.display()
