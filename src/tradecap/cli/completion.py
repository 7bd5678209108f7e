"""tradecap completion: the script that teaches a shell to complete our commands and options. click writes it."""

import click
from click.shell_completion import get_completion_class

from tradecap.cli.options import command, spoken
from tradecap.cli.output import Output


@command
@spoken
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
def completion(out: Output, shell: str) -> None:
    """Print the completion script for a shell.

    Save it where your shell looks for completions, or load it from your shell's startup file.

    \b
    Examples:
      source <(tradecap completion bash)
      tradecap completion zsh > "${fpath[1]}/_tradecap"
      tradecap completion fish > ~/.config/fish/completions/tradecap.fish
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None, f"click has no completion for {shell}"
    script = of_shell(click.get_current_context().find_root().command, {}, "tradecap", "_TRADECAP_COMPLETE").source()
    if out.json:
        out.show({"shell": shell, "script": script}, lambda: script)
    else:
        out.lines(script.splitlines())
