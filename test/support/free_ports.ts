import process from "node:process";
import { formatAddress, isFree } from "../../src/nats/addresses.ts";

/**
 * A port that is found free is taken seconds later, by a process that has to start first. So each worker of the test runner looks in
 * ports of its own, and gives none out again before it has given all the others. These are below those that sidecars choose themselves.
 */
const FIRST = 5_000;
const PORTS_OF_WORKER = 870;
const WORKERS = 8;

const worker = Number(process.env.JEST_WORKER_ID ?? process.pid) % WORKERS;
let next = Math.floor(Math.random() * PORTS_OF_WORKER);

/**
 * Ports of `host` that nothing listens at, no two the same.
 *
 * @throws Error where there are not as many
 */
export async function freePorts(host: string, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let tries = 0; tries < PORTS_OF_WORKER && found.length < count; tries++) {
    const port = FIRST + worker * PORTS_OF_WORKER + next;
    next = (next + 1) % PORTS_OF_WORKER;
    if (await isFree(formatAddress({ host, port }))) found.push(port);
  }
  if (found.length < count) throw new Error(`${count} free ports of ${host} wanted, ${found.length} found`);
  return found;
}
