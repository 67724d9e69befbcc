export type Exclusively = <T>(work: () => Promise<T>) => Promise<T>;

/** Returns a queue for work that must not overlap. */
export function exclusive(): Exclusively {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result.catch(() => {});
    return result;
  };
}
