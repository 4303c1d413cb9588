/** `token add|list|revoke|rotate-bootstrap` and `whoami`. */
import type { MadeToken, TokenList, WhoamiAnswer } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { facts, table } from "../table.ts";

const OUT = {
  value: "FILE",
  about: "write the token to a new file, for its owner alone, and do not show it",
};

export const TOKEN_ADD: Command = {
  name: "token add",
  args: ["<name>"],
  about: "makes a token for the API, and shows it this once",
  details: "docs/api-access.md says what each role may do.",
  flags: {
    role: { value: "ROLE", about: "operator, tenant-admin, viewer or auditor (needed)" },
    tenant: { value: "TENANT", about: "the one tenant of a tenant-admin" },
    expires: { value: "DURATION", about: "in how long, for example 30d (default 90d, at most 366d)" },
    out: OUT,
  },
  run: async (call) => {
    const role = call.flag("role");
    if (role === undefined) {
      throw new LeafmeshError(
        "request_invalid",
        "--role is missing: operator, tenant-admin, viewer or auditor",
      );
    }
    const [tenant, expires] = [call.flag("tenant"), call.flag("expires")];
    const { token, info } = await (await call.api()).post<MadeToken>(paths.tokens, {
      name: argument(call, 0),
      role,
      ...(tenant === undefined ? {} : { tenant }),
      ...(expires === undefined ? {} : { expires }),
    });
    const of = info.tenant === null ? "" : ` of ${info.tenant}`;
    const made = `Token ${info.name} (${info.role}${of}) is made; it expires ${info.expiresAt}.`;
    const out = call.flag("out");
    if (out === undefined) {
      return {
        json: { token, ...info },
        text: `${made}\nIt is shown this once, only its hash is kept:\n  ${token}`,
      };
    }
    await call.effects.createFile(out, `${token}\n`, 0o600);
    return {
      json: { file: out, ...info },
      text: `${made}\nIt is in ${out}: use it with --token-file ${out}`,
    };
  },
};

export const TOKEN_LIST: Command = {
  name: "token list",
  args: [],
  about: "all tokens of the API, without the tokens themselves",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<TokenList>(paths.tokens);
    const rows = items.map(({ id, name, role, tenant, expiresAt, lastUsed, createdBy }) => [
      name,
      role,
      tenant ?? "-",
      expiresAt,
      lastUsed ?? "never",
      createdBy,
      id,
    ]);
    const head = ["TOKEN", "ROLE", "TENANT", "EXPIRES", "LAST USED", "MADE BY", "ID"];
    return {
      json: items,
      text: rows.length === 0 ? "No tokens but the bootstrap token." : table(head, rows),
    };
  },
};

export const TOKEN_REVOKE: Command = {
  name: "token revoke",
  args: ["<name>"],
  about: "ends a token at once, by its name or id",
  flags: {},
  run: async (call) => {
    const wanted = argument(call, 0);
    const client = await call.api();
    const { items } = await client.get<TokenList>(paths.tokens);
    const found = items.find(({ name }) => name === wanted) ?? items.find(({ id }) => id === wanted);
    if (found === undefined) throw new LeafmeshError("not_found", `There is no token '${wanted}'`);
    await client.remove(paths.token(found.id));
    return { json: { ...found, revoked: true }, text: `Token ${found.name} is revoked.` };
  },
};

export const TOKEN_ROTATE_BOOTSTRAP: Command = {
  name: "token rotate-bootstrap",
  args: [],
  about: "puts a new bootstrap token in the place of the old one, which ends at once",
  flags: {},
  run: async ({ api }) => {
    const { token } = await (await api()).post<{ readonly token: string }>(paths.rotateBootstrap);
    return {
      json: { token },
      text: `The bootstrap token is replaced, the old one has ended. The new one stands in its file at the site, and is shown this once:\n  ${token}`,
    };
  },
};

export const WHOAMI: Command = {
  name: "whoami",
  args: [],
  about: "who the token stands for, and what it may do",
  flags: {},
  run: async ({ api }) => {
    const found = await (await api()).get<WhoamiAnswer>(paths.whoami);
    const pairs = [
      ["name", found.name],
      ["token", found.type],
      ["role", found.role],
      ["tenant", found.tenant ?? "all"],
    ] as const;
    return { json: found, text: facts(pairs) };
  },
};
