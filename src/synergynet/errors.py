"""The one exception for a user's mistake."""


class SynergyNetError(Exception):
    """Bad input, said in one sentence that names the file or option and the cure.

    Commands print the sentence and exit with a non-zero code; library users can
    catch this class alone.
    """
