/** A sidecar that is killed while it makes changes: the trail says of each that was begun how it ended, and stays one chain. */
import { expect, test } from "bun:test";
import { type AuditRecord, verifyTrail } from "../../src/model/audit.ts";
import { loadSiteKeys } from "../../src/nats/keys.ts";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const KILLS = 3;
/** Changes that were answered before each kill, at least. */
const ANSWERED = 5;

/** Changes one document after another until nobody answers. @returns the numbers of those that were answered */
async function changeUntilKilled(
  site: MeshSite,
  from: number,
  answered: (count: number) => void,
): Promise<number[]> {
  const done: number[] = [];
  for (let i = from; ; i++) {
    const body = { rules: [{ subjects: [`acme.v${i}`] }] };
    const response = await site
      .api("PUT", "/v1/tenants/acme/exports/out/shadow", body, { "if-match": "*" })
      .catch(() => null);
    if (response === null) return done;
    if (response.ok) done.push(i);
    answered(done.length);
  }
}

async function trailOf(site: MeshSite): Promise<{ lines: string[]; records: AuditRecord[] }> {
  const text = await (await site.api("GET", "/v1/audit/export")).text();
  const lines = text.trim().split("\n");
  return { lines, records: lines.map((line) => JSON.parse(line) as AuditRecord) };
}

test("a change that a SIGKILL cuts short stands in the trail, with how it ended", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["tokyo"], tokyo: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme", exports: [{ name: "out", to: ["tokyo"], rules: [{ subjects: ["acme.none"] }] }] }
        : { tenant: "acme" },
    ],
  });
  const berlin = mesh.site("berlin");
  const first = await berlin.put("/v1/tenants/acme/exports/out/shadow", {
    rules: [{ subjects: ["acme.v0"] }],
  });
  expect([first.status, await first.text()]).toEqual([201, expect.any(String)]);
  const answered: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    let count = 0;
    const changing = changeUntilKilled(berlin, kill * 1000 + 1, (done) => {
      count = done;
    });
    await waitFor(() => count >= ANSWERED, { what: "changes that are answered", deadlineMs: 30_000 });
    await berlin.end("SIGKILL");
    answered.push(...(await changing));
    await berlin.start();
  }

  const { lines, records } = await trailOf(berlin);
  const { site } = await loadSiteKeys(berlin.dataFolder);
  expect(verifyTrail(lines, { keys: [site.publicKey] })).toMatchObject({ ok: true, broken: null });

  const intents = records.filter(({ type, who }) => type === "intent" && who?.type !== "sidecar");
  expect(intents.length, JSON.stringify(records.slice(-3))).toBeGreaterThanOrEqual(answered.length);
  const results = Map.groupBy(
    records.filter(({ type }) => type === "result"),
    ({ of }) => of,
  );
  for (const { seq } of intents) {
    expect([seq, results.get(seq)?.length]).toEqual([seq, 1]);
  }
  // What was answered is told as done; what is told as cut short was not answered.
  const changed = records.filter(({ type, target }) => type === "change" && target.includes("shadow"));
  const told = changed.map(({ after }) => /acme\.v(\d+)/.exec(JSON.stringify(after))?.[1]);
  for (const number of answered) expect(told).toContain(String(number));
  // The document is what the last change says that was made, or the one that was cut short.
  const { rules } = await berlin.json<{ rules: { subjects: string[] }[] }>(
    "/v1/tenants/acme/exports/out/shadow",
  );
  const [subject = ""] = rules[0]?.subjects ?? [];
  expect(told.slice(-2).map((number) => `acme.v${number}`)).toContain(subject);
}, 240_000);
