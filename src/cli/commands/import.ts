/** `import list|put|remove`. */
import type { DocumentList } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { ImportPolicy } from "../../model/schema/policy.ts";
import { Name } from "../../model/schema/scalars.ts";
import { parseLocated } from "../../model/site_file.ts";
import { importDocument, writeDocuments } from "../apply_file.ts";
import { appliedText, checked, fileOfFlag } from "../check.ts";
import { argument, type Call, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

const ORIGIN = { value: "SITE", about: "transit: the site whose events come through the peer" };

export const IMPORT_LIST: Command = {
  name: "import list",
  args: ["<tenant>"],
  about: "what a tenant accepts from its peers",
  flags: {},
  run: async (call) => {
    const { items } = await (await call.api()).get<DocumentList<ImportPolicy>>(
      paths.imports(argument(call, 0)),
    );
    const rows = items.map(({ value }) => [
      value.from,
      value.origin ?? value.from,
      value.mirror === true ? "mirror" : value.live === false ? "log only" : "live",
      value.subjects.join(" "),
    ]);
    const text = rows.length === 0 ? "No imports." : table(["FROM", "ORIGIN", "HOW", "SUBJECTS"], rows);
    return { json: items, text };
  },
};

export const IMPORT_PUT: Command = {
  name: "import put",
  args: ["<tenant>", "<peer>"],
  about: "accepts events of a peer, by flags or from a file",
  flags: {
    file: { value: "PATH", about: "the import (YAML or JSON) instead of the flags below", short: "f" },
    subject: { value: "PATTERN", about: "what is accepted", many: true },
    origin: ORIGIN,
    "log-only": { about: "do not republish to core subscribers" },
    mirror: { about: "keep an exact read-only copy of what the peer exports" },
  },
  run: async (call) => {
    const [tenant, peer] = [argument(call, 0), argument(call, 1)];
    const document = importDocument(tenant, await policyOf(call, peer));
    const [change] = await writeDocuments(await call.api(), [document]);
    const done = change?.done ?? "unchanged";
    return {
      json: { tenant, from: peer, done },
      text: `I${document.label.slice(1)} is ${done}; the sidecar applies it within seconds.`,
    };
  },
};

export const IMPORT_REMOVE: Command = {
  name: "import remove",
  args: ["<tenant>", "<peer>"],
  about: "accepts no more events of a peer",
  flags: { origin: ORIGIN },
  run: async (call) => {
    const [tenant, from] = [argument(call, 0), argument(call, 1)];
    const client = await call.api();
    const path = paths.import(tenant, from, call.flag("origin"));
    const { etag } = await client.read(path);
    const applied = await client.removeAndWait(path, etag);
    return {
      json: { tenant, from, removed: true, applied },
      text: `Import ${tenant}/${from} is removed ${appliedText(applied)}.`,
    };
  },
};

async function policyOf(call: Call, peer: string): Promise<ImportPolicy> {
  const origin = call.flag("origin");
  if (call.flag("file") === undefined) {
    const given = {
      from: peer,
      subjects: call.all("subject"),
      ...(origin === undefined ? {} : { origin }),
      ...(call.has("log-only") ? { live: false } : {}),
      ...(call.has("mirror") ? { mirror: true } : {}),
    };
    return checked(ImportPolicy, given, "The import");
  }
  const { path, text } = await fileOfFlag(call, "file");
  const read = parseLocated(ImportPolicy.extend({ from: Name.optional() }), text, path).value;
  if (read.from !== undefined && read.from !== peer) {
    throw new LeafmeshError(
      "request_invalid",
      `${path} is from '${read.from}', but the argument says '${peer}'`,
    );
  }
  return { ...read, from: peer, ...(origin === undefined ? {} : { origin }) };
}
