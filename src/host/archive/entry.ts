/** The kinds of entries that a release can have. */
export type EntryType = "file" | "directory" | "symlink" | "hardlink";

/** One entry of an archive, whatever its format. */
export interface ArchiveEntry {
  /** As the archive spells it; not to be trusted. */
  name: string;
  /** What it becomes; anything else is a device, a fifo or a socket and named as such. */
  type: EntryType | (string & {});
  /** Where a link points; not to be trusted. */
  link: string;
  /** Permission bits; `undefined` where the archive has none. */
  mode: number | undefined;
  /** The time of the last change. */
  mtime: Date | undefined;
  /** Bytes of the body, as declared. */
  size: number;
  /** The next piece of the body, or `undefined` at its end. */
  read(): Promise<Uint8Array | undefined>;
}
