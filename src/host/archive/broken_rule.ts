/**
 * Something in an archive that must not be extracted. The message names the rule only; the one who
 * extracts adds the names of the archive and the entry.
 */
export class BrokenRule extends Error {}
