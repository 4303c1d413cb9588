/** Calls of the server that do not wait for each other. */

/** So many requests of the sidecar wait at the server at a time: more make it no faster. */
const AT_ONCE = 16;

/** Does `work` with each of `items`, a few at a time. The first that fails ends it: no other is begun then. */
export async function together<T, R>(items: Iterable<T>, work: (item: T) => Promise<R>): Promise<R[]> {
  const left = [...items].entries();
  const results: R[] = [];
  const lane = async () => {
    for (const [index, item] of left) results[index] = await work(item);
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  } finally {
    left.return?.();
  }
  return results;
}
