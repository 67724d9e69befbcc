/** Runs pieces of work one after the other, in the order in which they came. */
export type Exclusively = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * Makes a queue for work that must not overlap.
 *
 * @returns a function that runs its argument when everything before it has ended, however that ended.
 */
export function exclusive(): Exclusively {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result.catch(() => {});
    return result;
  };
}
