/** A redrive whose sidecar is killed in the middle: no dead letter is lost, none is sent twice. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import type { RedriveReport } from "../../src/model/redrive.ts";
import { startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const LETTERS = 600;
const EXPORT = {
  name: "out",
  to: ["austin"],
  rules: [
    { name: "all", subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" as const }] },
  ],
};
/** The same without what needs a JSON payload; a header keeps it a view. */
const FIXED = {
  name: "out",
  to: ["austin"],
  rules: [{ name: "all", subjects: ["acme.orders.>"], headers: { set: { fixed: "yes" } } }],
};
const DLQ = "/v1/tenants/acme/dlq";

test("SIGKILL in the middle of a redrive: each dead letter crosses once, in order", async () => {
  await using mesh = await startPair({
    exports: [EXPORT],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const app = await berlin.app("acme");
  const js = jetstream(app);
  const header = headers();
  header.set("Content-Type", "application/xml");
  await Promise.all(
    Array.from({ length: LETTERS }, (_, n) =>
      js.publish(`acme.orders.${n % 5}`, JSON.stringify({ n }), { headers: header }),
    ),
  );
  const left = async () => {
    const { items } = await berlin.json<{ items: { sequence: number }[] }>(`${DLQ}?limit=1000`);
    return items.length;
  };
  await waitFor(async () => (await left()) === LETTERS, { what: "all to be dead letters" });
  const metrics = await (await berlin.api("GET", "/metrics")).text();
  expect(metrics).toMatch(/quarantined_events\{[^}]*policy="out",reason="content_type_unsupported"\} 600/);

  // As long as the policy cannot decide them, a redrive keeps them all.
  const redrive = async (body: object) => {
    const response = await berlin.api("POST", `${DLQ}/redrives`, body);
    expect(response.status).toBe(202);
    return (await response.json()) as RedriveReport;
  };
  const ended = async ({ id }: RedriveReport) =>
    await waitFor(
      async () => {
        const report = await berlin.json<RedriveReport>(`${DLQ}/redrives/${id}?wait=true`);
        return report.state === "running" ? null : report;
      },
      { what: "the redrive to end", deadlineMs: 30_000 },
    );
  expect(await ended(await redrive({ all: true, dryRun: true, rate: 10_000 }))).toMatchObject({
    state: "done",
    kept: LETTERS,
  });

  await berlin.put("/v1/tenants/acme/exports/out?wait=true", FIXED);
  expect(await ended(await redrive({ subject: "acme.orders.3", dryRun: true, rate: 10_000 }))).toMatchObject({
    state: "done",
    forwarded: LETTERS / 5,
  });
  expect(await left()).toBe(LETTERS);
  for (let kills = 0; kills < 3; kills++) {
    // So slow that some are left for each kill, however long a look takes.
    const before = await left();
    expect(before).toBeGreaterThan(60);
    await redrive({ all: true, rate: 30 });
    await waitFor(async () => (await left()) < before - 20, {
      what: "some to be redriven",
      pollMs: 5,
      deadlineMs: 30_000,
    });
    await berlin.end("SIGKILL");
    await berlin.start();
  }
  await ended(await redrive({ all: true, rate: 10_000 }));
  expect(await left()).toBe(0);

  const far = await austin.app("acme");
  const read = () => readLog(far, "acme", "berlin.acme.orders.>");
  const events = await waitFor(
    async () => {
      const found = await read();
      return found.length >= LETTERS ? found : null;
    },
    { what: `${LETTERS} events at austin`, deadlineMs: 20_000 },
  );
  expect(events.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: LETTERS }, (_, n) => n),
  );
  for (let key = 0; key < 5; key++) {
    const of = events.filter(({ subject }) => subject.endsWith(`.${key}`)).map(({ n }) => n);
    expect(of).toEqual(of.toSorted((a, b) => a - b));
  }
}, 120_000);
