/** `explain`: what would become of an event. */
import { Buffer } from "node:buffer";
import type { Explanation } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Call, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { count, indent } from "../table.ts";

type Peer = Explanation["peers"][number];

export const EXPLAIN: Command = {
  name: "explain",
  args: ["<subject>"],
  about: "what each peer would get of an event, and why; nothing is published",
  flags: {
    header: { value: "NAME=VALUE", about: "a header of the event", many: true },
    data: { value: "TEXT|@FILE", about: "the payload, or the file that holds it" },
    origin: { value: "SITE", about: "where the event was published (default: this site)" },
  },
  details:
    "--data is the payload here: name the token with --token-file or LEAFMESH_TOKEN where it is not found by itself.",
  run: async (call) => {
    const origin = call.flag("origin");
    const body = {
      subject: argument(call, 0),
      headers: headersOf(call.all("header")),
      ...(await payloadOf(call)),
      ...(origin === undefined ? {} : { origin }),
    };
    const report = await (await call.api()).post<Explanation>(paths.explain, body);
    return { json: report, text: explanationText(report) };
  },
};

function headersOf(pairs: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at <= 0) throw new LeafmeshError("request_invalid", `--header '${pair}' is no NAME=VALUE`);
    const name = pair.slice(0, at);
    headers[name] = [...(headers[name] ?? []), pair.slice(at + 1)];
  }
  return headers;
}

/** Bytes go as they are: what JSON would change (numbers, key order) is part of what is explained. */
async function payloadOf({ flag, effects }: Call): Promise<{ dataText?: string; dataBase64?: string }> {
  const data = flag("data");
  if (data === undefined) return {};
  if (!data.startsWith("@")) return { dataText: data };
  const bytes = await effects.readFile(data.slice(1));
  return { dataBase64: Buffer.from(bytes).toString("base64") };
}

function explanationText(report: Explanation): string {
  const head = `${report.subject}, tenant ${report.tenant}`;
  if (report.peers.length === 0) return `${head}: no peers`;
  const notes = report.notes.map((note) => `note: ${note}`);
  return [head, ...report.peers.map(peerText), ...notes].join("\n\n");
}

function peerText(peer: Peer): string {
  const by = peer.rule === null ? "" : ` by rule ${peer.rule}`;
  const policy = peer.policy === null ? "no export" : `export ${peer.policy} (${peer.kind ?? "no route"})`;
  const accepted = {
    yes: "accepts it",
    no: "does not accept it",
    unknown: "has not said yet what it accepts",
  };
  const lines = [`${peer.peer}: ${peer.outcome}${by}: ${peer.reason}`, indent(policy)];
  if (peer.outcome === "forward") lines.push(indent(`${peer.peer} ${accepted[peer.accepted]}`));
  lines.push(...peer.steps.map((step) => indent(`rule ${step.rule}: ${step.outcome}`)));
  if (peer.result !== null) lines.push(indent(resultText(peer.result)));
  return lines.join("\n");
}

function resultText(result: NonNullable<Peer["result"]>): string {
  const headers = Object.entries(result.headers).flatMap(([name, values]) =>
    values.map((value) => `  ${name}: ${value}`),
  );
  const payload = result.dataText ?? `base64 ${result.dataBase64 ?? ""}`;
  return [
    `gets ${result.subject}, ${count(result.redactions, "value")} redacted`,
    ...headers,
    ...(payload === "" ? ["  (no payload)"] : [indent(payload)]),
  ].join("\n");
}
