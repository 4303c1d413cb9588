/** Calls of the server that do not wait for each other. */

/** So many requests of the sidecar wait at the server at a time: more make it no faster. */
const AT_ONCE = 16;

/**
 * Does `work` with each of `items`, a few at a time. After the first that fails no other is begun. Those under way are waited for
 * then, too: whoever tries all again must not meet what is left of this time.
 */
export async function together<T, R>(items: Iterable<T>, work: (item: T) => Promise<R>): Promise<R[]> {
  const left = [...items].entries();
  const results: R[] = [];
  const failures: unknown[] = [];
  const lane = async () => {
    for (const [index, item] of left) {
      try {
        results[index] = await work(item);
      } catch (error) {
        failures.push(error);
      }
      if (failures.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
