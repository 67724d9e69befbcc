/** Who may decide which user a container runs as. */
export interface UserChoice {
  /** The operator's `--user`; `undefined`: none was given. */
  given: string | undefined;
  /** The image's USER; empty: root. */
  image: string;
  /** dewy's own user and group; `undefined` where the system has none. */
  own: { uid: number; gid: number } | undefined;
}

/**
 * Chooses the user of containers: the operator's, else the image's. An image that would run as root runs as dewy's own
 * user when that is not root.
 *
 * @param choice who may decide.
 * @returns the value of `--user` to add; `undefined`: nothing is to be added.
 */
export function containerUser({ given, image, own }: UserChoice): string | undefined {
  const isRoot = /^(|0+|root)(:|$)/.test(image);
  if (given !== undefined || !isRoot || own === undefined || own.uid === 0) return undefined;
  return `${own.uid}:${own.gid}`;
}
