/** Where numbered events stand, for a test that found them lost, twice or out of order: in which stream it began. */
import type { Mesh } from "./mesh.ts";

/** One line for each stream that holds one of the events: their positions, times and headers there. */
export async function whereStored(mesh: Mesh, numbers: readonly number[]): Promise<string> {
  const lines: string[] = [];
  for (const site of mesh.sites) {
    await using opened = await site.mesh();
    for await (const { config, state } of opened.jsm.streams.list()) {
      if (state.messages === 0 || /^(?:KV|OBJ)_/.test(config.name)) continue;
      const consumer = await opened.js.consumers.get(config.name, {});
      const found: string[] = [];
      for await (const message of await consumer.consume()) {
        const n = numberOf(message);
        if (n !== null && numbers.includes(n)) {
          const headers = [...(message.headers ?? [])].map(([name, values]) => `${name}=${values}`);
          found.push(`${n} at ${message.seq} ${message.time.toISOString()} ${headers.join(" ")}`);
        }
        if (message.info.pending === 0) break;
      }
      if (found.length > 0)
        lines.push(`${site.name} ${config.name} (${state.messages}): ${found.join(" | ")}`);
    }
  }
  return lines.join("\n");
}

function numberOf(message: { json<T>(): T }): number | null {
  try {
    return message.json<{ n?: number }>().n ?? null;
  } catch {
    return null;
  }
}
