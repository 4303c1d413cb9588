import { describe, expect, test } from "bun:test";
import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import { LinkedLeaders, type ServerLinks } from "../../../src/control/linked_leaders.ts";
import type { ObservedStreams } from "../../../src/control/observe.ts";
import { linkAccount, siteApiPrefix } from "../../../src/model/names.ts";
import type { Peer } from "../../../src/model/schema/site.ts";

const DIALLED: Peer = { name: "tokyo", key: "U", dial: "tls://tokyo:7422" };
const DIALS: Peer = { name: "austin", key: "U" };
const LINKED = new Set([linkAccount("tokyo")]);
const NONE = new Set<string>();

/** A stream for both peers, of which `a` leads the consumers; and one that sources from tokyo, which `a` leads. */
function streams(): ObservedStreams {
  const cluster = { leader: "a" };
  const consumers = new Map(
    ["tokyo", "austin", "log_"].map((name) => [name, { cluster } as unknown as ConsumerInfo]),
  );
  const out = { config: {}, cluster: { leader: "b" } } as unknown as StreamInfo;
  const source = { name: "out_acme", external: { api: siteApiPrefix("tokyo") } };
  const into = { config: { sources: [{ name: "out_acme" }, source] }, cluster } as unknown as StreamInfo;
  return new Map([
    ["out_acme", { info: out, consumers }],
    ["in_acme", { info: into, consumers: new Map<string, ConsumerInfo>() }],
  ]);
}

/** What is moved, looked at every second. */
function moves(servers: (second: number) => ServerLinks, peers = [DIALLED, DIALS]) {
  let second = 0;
  const leaders = new LinkedLeaders(() => second * 1000);
  const found: string[] = [];
  for (; second < 40; second++) {
    for (const { stream, consumer, from, to } of leaders.find(streams(), peers, servers(second))) {
      found.push(`${second} ${stream}/${consumer ?? ""} ${from} to ${to}`);
    }
  }
  return found;
}

const links = (...of: [string, ReadonlySet<string> | null][]): ServerLinks => new Map(of);

describe("LinkedLeaders", () => {
  test("moves what a server without the link leads to one that has it, after a moment and later each time", () => {
    const found = moves(() => links(["a", NONE], ["b", LINKED]));
    expect(found.slice(0, 4)).toEqual([
      "3 out_acme/tokyo a to b",
      "3 in_acme/ a to b",
      "7 out_acme/tokyo a to b",
      "7 in_acme/ a to b",
    ]);
    expect(found.map((one) => Number(one.split(" ")[0])).filter((_, i) => i % 2 === 0)).toEqual([
      3, 7, 15, 31,
    ]);
  });

  test("leaves alone what has its link, what no server has a link for, and what a peer dials", () => {
    expect(moves(() => links(["a", LINKED], ["b", NONE]))).toEqual([]);
    expect(moves(() => links(["a", NONE], ["b", NONE]))).toEqual([]);
    expect(moves(() => links(["a", NONE], ["b", LINKED]), [DIALS])).toEqual([]);
  });

  test("does not judge a leader that does not answer or is gone, nor choose a server that does not answer", () => {
    expect(moves(() => links(["a", null], ["b", LINKED]))).toEqual([]);
    expect(moves(() => links(["b", LINKED]))).toEqual([]);
    expect(moves(() => links(["a", NONE], ["b", null]))).toEqual([]);
  });

  test("waits again when the link was there in between", () => {
    const back = (second: number) => links(["a", second === 2 ? LINKED : NONE], ["b", LINKED]);
    expect(moves(back)[0]).toBe("6 out_acme/tokyo a to b");
  });
});
