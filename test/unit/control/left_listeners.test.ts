import { afterEach, describe, expect, test } from "bun:test";
import {
  type LeftBehind,
  LeftListeners,
  type SourceSubject,
  sourceSubjects,
} from "../../../src/control/left_listeners.ts";
import { waitFor } from "../../support/wait_for.ts";

const SUBJECT = "mesh.berlin.deliver.austin.out_acme";
const TARGET = "in_acme/out_acme of berlin";

const source = (subject: string, target: string, attached: boolean): SourceSubject => ({
  subject,
  attached,
  tenant: "acme",
  peer: "berlin",
  target,
});

/** A server, what listens there, and what came of it. One look after the other. */
class Site {
  attached = true;
  servers: Record<string, readonly string[]> = { austin: ["7/1"] };
  /** What a look finds at this site's server instead, by its number. */
  found: ((look: number) => readonly string[]) | null = null;
  readonly alarms = new Set<string>();
  readonly restarts: string[] = [];
  readonly asked: string[] = [];
  looks = 0;
  withdrawn = 0;
  now = 0;
  sources: readonly SourceSubject[] | null = null;
  others: readonly LeftBehind[] = [];
  #watch: LeftListeners | null = null;

  watch({ ours = true } = {}): void {
    this.#watch = new LeftListeners({
      server: () => "austin",
      listeners: async (subject) => {
        this.asked.push(subject);
        const servers = this.found === null ? this.servers : { austin: this.found(this.asked.length) };
        return Object.entries(servers).flatMap(([server, ids]) => ids.map((id) => ({ server, id })));
      },
      subjects: async () => {
        this.looks++;
        return this.sources ?? [source(SUBJECT, TARGET, this.attached)];
      },
      others: async () => this.others,
      restart: ours ? (why) => void (why === null ? this.withdrawn++ : this.restarts.push(why)) : null,
      alarms: {
        raise: (name, { target, tenant }) => void this.alarms.add(`${name} ${target} ${tenant}`),
        clear: (name, target) => void this.alarms.delete(`${name} ${target} acme`),
      },
      log: () => {},
      everyMs: 5,
      now: () => this.now,
    });
  }

  /** Waits until it was looked twice more: the first may have begun before. */
  async look(times = 1): Promise<void> {
    const until = this.looks + times + 1;
    await waitFor(() => this.looks >= until, { what: "another look", pollMs: 1 });
  }

  async end(): Promise<void> {
    await this.#watch?.[Symbol.asyncDispose]();
  }
}

describe("what a server left behind of a source", () => {
  let site = new Site();
  const begin = (options?: { ours?: boolean }) => {
    site = new Site();
    site.watch(options);
  };
  afterEach(async () => await site.end());

  test("is found where two listen for one source and one of them stays, and the server is restarted once", async () => {
    begin();
    await site.look(3);
    expect([site.asked[0], site.restarts, [...site.alarms]]).toEqual([SUBJECT, [], []]);
    site.servers = { austin: ["7/1", "7/2"] };
    await site.look(3);
    expect(site.restarts).toHaveLength(1);
    expect(site.restarts[0]).toContain(`${SUBJECT}, which ${TARGET} comes by, at austin`);
    expect([...site.alarms]).toEqual([`listener-left ${TARGET} acme`]);
    site.now = 601_000;
    await site.look(3);
    expect(site.restarts).toHaveLength(2);
    // Another time after twice as long.
    site.now = 1_700_000;
    await site.look(3);
    expect(site.restarts).toHaveLength(2);
    site.now = 1_802_000;
    await site.look(3);
    expect(site.restarts).toHaveLength(3);
    site.servers = { austin: ["3/1"] };
    await site.look(3);
    expect([site.restarts.length, site.withdrawn, [...site.alarms]]).toEqual([3, 1, []]);
  });

  test("is found where somebody listens and the source is out", async () => {
    begin();
    site.attached = false;
    await site.look(3);
    expect([site.restarts.length, [...site.alarms]]).toEqual([1, [`listener-left ${TARGET} acme`]]);
  });

  test("is nothing that comes and goes", async () => {
    site = new Site();
    site.attached = false;
    site.found = (look) => [`7/${look}`];
    site.watch();
    await site.look(6);
    expect([site.restarts, [...site.alarms]]).toEqual([[], []]);
  });

  test("is found where the source listens only from time to time", async () => {
    site = new Site();
    site.found = (look) => (look % 3 === 0 ? ["7/1", `7/${look}`] : ["7/1"]);
    site.watch();
    await site.look(8);
    expect(site.restarts).toHaveLength(1);
    // Nor is one that is alone for a moment over.
    expect([...site.alarms]).toEqual([`listener-left ${TARGET} acme`]);
  });

  test("of a server that is not ours is an alarm, and of another server of the site, too", async () => {
    begin({ ours: false });
    site.servers = { austin: ["7/1", "7/2"] };
    await site.look(3);
    expect([site.restarts, [...site.alarms]]).toEqual([[], [`listener-left ${TARGET} acme`]]);
    await site.end();
    begin();
    // Of two that listen at two servers, one has the source: which one, is not known here.
    site.servers = { austin: ["7/1"], other: ["8/1"] };
    await site.look(3);
    expect([site.restarts, [...site.alarms]]).toEqual([[], [`listener-left ${TARGET} acme`]]);
    site.sources = [];
    await site.look(2);
    expect([...site.alarms]).toEqual([]);
  });

  test("elsewhere, as somebody else has found, is told of and restarted for, as long as it is there", async () => {
    begin();
    const other = {
      subject: "out_acme to rome",
      target: "out_acme to rome",
      tenant: "acme",
      peer: "rome",
      why: "no link",
    };
    site.others = [{ ...other, at: null }];
    await site.look(2);
    expect([site.restarts, [...site.alarms]]).toEqual([[], ["listener-left out_acme to rome acme"]]);
    site.others = [{ ...other, at: "austin" }];
    await site.look(3);
    expect([site.restarts, site.alarms.size]).toEqual([["no link"], 1]);
    site.others = [];
    await site.look(2);
    expect([site.restarts.length, site.withdrawn, site.alarms.size]).toEqual([1, 1, 0]);
  });

  test("is looked for at all subjects in turn", async () => {
    site = new Site();
    const names = Array.from({ length: 70 }, (_, i) => `s${i}`);
    site.sources = names.map((subject) => source(subject, subject, true));
    site.watch();
    await site.look(6);
    expect(new Set(site.asked).size).toBe(70);
    const times = names.map((name) => site.asked.filter((one) => one === name).length);
    expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1);
  });
});

describe("what sources listen to", () => {
  const one = (name: string, peer: string) => ({
    name,
    consumer: { name: "austin", deliver_subject: `mesh.${peer}.deliver.austin.${name}` },
  });
  const config = (name: string, sources: readonly unknown[]) => ({ name, sources }) as never;

  test("is that of the streams, and of what a plan puts in", () => {
    const configs = [config("in_acme", [one("out_acme", "berlin"), { name: "plain" }])];
    const steps = [
      {
        type: "update-stream",
        account: { type: "mesh" },
        spec: config("in_acme", [one("out_acme", "berlin"), one("view_acme_out", "berlin")]),
        changed: ["sources"],
      },
      {
        type: "update-stream",
        account: { type: "tenant", tenant: "acme" },
        spec: config("acme", [one("in_acme", "log")]),
        changed: ["sources"],
      },
      { type: "attach-source", spec: config("quiet_acme", [one("out_acme", "tokyo")]) },
    ] as never;
    expect(sourceSubjects(configs, steps).map(({ target, attached }) => [target, attached])).toEqual([
      ["in_acme/out_acme of berlin", true],
      ["in_acme/view_acme_out of berlin", false],
      ["quiet_acme/out_acme of tokyo", false],
    ]);
  });
});
