/** Names that are legal for an object and a file, but hard to carry through a URL. */
export const ODD_NAMES: readonly string[] = [
  "a b+c%20d.tar.gz",
  "q?x=1&y#z.zip",
  "'\"!()*;:@,$~[]{}|^`<>.zip",
  "ünï 日本 😀.tgz",
  "back\\slash.zip",
  "%2e%2e",
  "dots..in...it.zip",
  "new\nline\tand\rreturn.zip",
  " leading and trailing ",
  "v1.0.0",
];
