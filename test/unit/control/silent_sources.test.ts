import { describe, expect, test } from "bun:test";
import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import type { Observed } from "../../../src/control/observe.ts";
import { SilentSources } from "../../../src/control/silent_sources.ts";

const API = "mesh.austin.API";
const NEVER = -1;
const MESH = { type: "mesh" } as const;

/** A stream with one source of austin that was heard `active` nanoseconds ago. */
function streams(active: number): Pick<Observed, "mesh" | "logs"> {
  const local = { name: "out_acme", active: NEVER, lag: 0 };
  const report = { name: "out_acme", active, lag: 0, external: { api: API } };
  const info = { config: { name: "in_acme" }, sources: [local, report] } as unknown as StreamInfo;
  return {
    mesh: new Map([["in_acme", { info, consumers: new Map<string, ConsumerInfo>() }]]),
    logs: new Map(),
  };
}

/** When the source is asked to attach again, looked at every second for more than three minutes. */
function attempts(active: (second: number) => number, reachable: (second: number) => boolean = () => true) {
  let second = 0;
  const silent = new SilentSources(() => second * 1000);
  const found: string[] = [];
  for (; second < 200; second++) {
    const sources = silent.find(streams(active(second)), () => reachable(second));
    for (const { by, ...source } of sources) {
      expect(source).toEqual({ account: MESH, stream: "in_acme", api: API, source: "out_acme" });
      found.push(`${second} ${by}`);
    }
  }
  return found;
}

describe("SilentSources", () => {
  test("waits three seconds, then has the server ask, then attaches again, later each time up to a minute", () => {
    const wakes = ["3 wake", "7 wake", "15 wake", "31 wake", "63 wake"];
    expect(attempts(() => NEVER)).toEqual([...wakes, "123 anew", "183 anew"]);
  });

  test("leaves a source alone that was heard within three seconds", () => {
    expect(attempts(() => 2.9e9)).toEqual([]);
    expect(attempts(() => 3e9)[0]).toBe("3 wake");
  });

  test("begins again when a source was heard in between", () => {
    expect(attempts((second) => (second === 10 ? 0 : NEVER)).slice(0, 3)).toEqual([
      "3 wake",
      "7 wake",
      "14 wake",
    ]);
  });

  test("asks nothing of a site that cannot be reached, and waits again when it can", () => {
    expect(
      attempts(
        () => NEVER,
        () => false,
      ),
    ).toEqual([]);
    expect(
      attempts(
        () => NEVER,
        (second) => second >= 20,
      )[0],
    ).toBe("23 wake");
  });

  test("attaches a source again at once that the server has refused, until it is heard", () => {
    let second = 0;
    let full = false;
    const silent = new SilentSources(
      () => second * 1000,
      () => full,
    );
    const at = (to: number, active: number) => {
      const found: string[] = [];
      for (; second <= to; second++)
        for (const { by } of silent.find(streams(active), () => true)) found.push(`${second} ${by}`);
      return found;
    };
    const source = { account: MESH, stream: "in_acme", api: API, source: "out_acme" };
    silent.putIn(source, true);
    silent.putIn({ ...source, api: "mesh.paris.API" }, true);
    expect(at(14, NEVER)).toEqual(["3 anew", "7 anew"]);
    expect(at(15, 0)).toEqual([]);
    expect(at(25, NEVER)).toEqual(["19 wake", "23 wake"]);
    silent.putIn(source, true);
    expect(at(35, NEVER)).toEqual(["31 anew"]);
    // One that the server has taken then is given the time that any other has.
    silent.putIn(source, false);
    expect(at(65, NEVER)).toEqual(["47 wake"]);
    // What is refused on a full disk waits for room.
    full = true;
    silent.putIn(source, true);
    expect(at(80, NEVER)).toEqual([]);
    full = false;
    expect(at(84, NEVER)).toEqual(["84 anew"]);
  });

  test("keeps sources of other streams and sites apart", () => {
    let now = 0;
    const silent = new SilentSources(() => now);
    const report = (api: string) => ({ name: "out_acme", active: NEVER, lag: 0, external: { api } });
    const of = (name: string, ...apis: string[]) => ({
      info: { config: { name }, sources: apis.map(report) } as unknown as StreamInfo,
      consumers: new Map<string, ConsumerInfo>(),
    });
    const first = { mesh: new Map([["in_acme", of("in_acme", API)]]), logs: new Map() };
    silent.find(first, () => true);
    now = 3000;
    const mesh = new Map([
      ["in_acme", of("in_acme", API, "mesh.tokyo.API")],
      ["quiet_acme", of("quiet_acme", API)],
    ]);
    const all = { mesh, logs: new Map() };
    expect(silent.find(all, () => true)).toEqual([
      { account: MESH, stream: "in_acme", api: API, source: "out_acme", by: "wake" },
    ]);
    now = 6000;
    expect(silent.find(all, (api) => api !== API)).toHaveLength(1);
  });

  test("watches what fills the logs, with more patience, whoever can be reached", () => {
    let now = 0;
    const silent = new SilentSources(() => now);
    const report = { name: "out_acme", active: 9.9e9, lag: 0, external: { api: "$JS.mesh.API" } };
    const info = { config: { name: "acme" }, sources: [report] } as unknown as StreamInfo;
    const seen = {
      mesh: new Map(),
      logs: new Map([
        ["acme", info],
        ["globex", null],
      ]),
    };
    const look = (seconds: number) => {
      now = seconds * 1000;
      return silent.find(seen, () => false);
    };
    expect([look(0), look(20)].flat()).toEqual([]);
    report.active = 10e9;
    expect([look(30), look(39)].flat()).toEqual([]);
    expect(look(40)).toEqual([
      {
        account: { type: "tenant", tenant: "acme" },
        stream: "acme",
        api: "$JS.mesh.API",
        source: "out_acme",
        by: "wake",
      },
    ]);
  });
});
