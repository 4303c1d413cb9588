/** nats-server's own judgement of what is rendered, and of servers that others run. */
import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DesiredState, desiredTenant } from "../../src/model/desired.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import { checkConfig } from "../../src/nats/check.ts";
import {
  type ConfigInput,
  renderConfig,
  renderFragment,
  renderLeafCredential,
} from "../../src/nats/config.ts";
import { ControlConnection } from "../../src/nats/control_connection.ts";
import { verifyFragment } from "../../src/nats/external.ts";
import { findServer } from "../../src/nats/find.ts";
import { createSigningKey, publicKeys } from "../../src/nats/keys.ts";
import { freePorts } from "../support/free_ports.ts";
import { TestServer } from "../support/server.ts";
import { tempFolder } from "../support/temp_folder.ts";

const newKey = () => createSigningKey().publicKey;

const DESIRED: DesiredState = {
  site: "berlin",
  peers: [
    { name: "tokyo", key: newKey(), dial: "nats-leaf://127.0.0.1:1" },
    { name: "osaka", key: newKey(), dial: "wss://127.0.0.1:1" },
    { name: "austin", key: newKey() },
  ],
  tenants: [
    desiredTenant({
      tenant: "acme",
      users: [{ name: "app", key: newKey() }],
      imports: [{ from: "tokyo", subjects: ["acme.>"] }],
    }),
    desiredTenant({ tenant: "globex", limits: { maxMsgSize: "2MiB" } }),
  ],
};

async function site(folder: string, desired: DesiredState) {
  const keys = { site: createSigningKey(), mesh: createSigningKey(), sys: createSigningKey() };
  await mkdir(join(folder, "keys"), { recursive: true });
  await writeFile(join(folder, "keys", "leaf.conf"), renderLeafCredential(keys.site), { mode: 0o600 });
  const [listen, leaf] = await freePorts("127.0.0.1", 2);
  const input: ConfigInput = {
    desired,
    keys: publicKeys(keys),
    listen: `127.0.0.1:${listen}`,
    leaf: `127.0.0.1:${leaf}`,
    sync: "always",
    paths: {
      store: join(folder, "store"),
      log: join(folder, "nats.log"),
      leafCredential: "keys/leaf.conf",
    },
    retiredTenants: [],
    compression: "s2_fast",
  };
  return { keys, input };
}

async function failure(work: Promise<unknown>): Promise<LeafmeshError> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof LeafmeshError) return thrown;
  throw new Error(`Expected a LeafmeshError, got ${thrown}`);
}

describe("checkConfig()", () => {
  test("accepts what renderConfig() writes", async () => {
    await using folder = await tempFolder();
    const { path } = await findServer();
    const cases = [
      [DESIRED, []],
      [{ site: "berlin", peers: [], tenants: [] }, ["old"]],
    ] as const;
    for (const [desired, retiredTenants] of cases) {
      const { input } = await site(folder.path, desired);
      const file = join(folder.path, "nats.conf");
      await writeFile(file, renderConfig({ ...input, retiredTenants }));
      await checkConfig(path, file);
    }
  });

  test("passes the server's words on with their lines, and no seed", async () => {
    await using folder = await tempFolder();
    const { path } = await findServer();
    const file = join(folder.path, "nats.conf");
    const seed = new TextDecoder().decode(createSigningKey().seed());
    const broken = `${seed.slice(0, 20)}${seed[20] === "A" ? "B" : "A"}${seed.slice(21)}`;
    await writeFile(file, `leafnodes {\n remotes [ { url: "nats-leaf://h:1", nkey: "${broken}" } ]\n}\n`);
    const error = await failure(checkConfig(path, file));
    expect(error.code).toBe("server_config_refused");
    expect(error.message).toBe(
      `nats-server refuses ${file}: line 2:38: Remote leafnode nkey is not a valid seed: "[REDACTED]"`,
    );
  });

  test("says server_missing when there is no such program", async () => {
    const error = await failure(checkConfig("/nowhere/nats-server", "/nowhere/nats.conf"));
    expect(error.code).toBe("server_missing");
    expect(error.message).toContain("/nowhere/nats-server");
  });
});

describe("verifyFragment()", () => {
  const start = async (
    folder: string,
    config: string,
    address: string,
    keys: Parameters<typeof ControlConnection.open>[0]["keys"],
  ) => {
    const options = { site: "berlin", server: address, keys };
    const server = await TestServer.start({
      folder,
      config,
      ready: async () => {
        await (await ControlConnection.open(options))[Symbol.asyncDispose]();
        return true;
      },
    });
    const control = await ControlConnection.open(options);
    const dispose = async () => {
      await control[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    };
    return { control, [Symbol.asyncDispose]: dispose };
  };

  test("is content with a server that includes the fragment", async () => {
    await using folder = await tempFolder();
    const { keys, input } = await site(folder.path, DESIRED);
    await writeFile(join(folder.path, "leafmesh.conf"), renderFragment(input));
    const own = `server_name: theirs\nlisten: "${input.listen}"\nmax_payload: 4MB\ninclude "leafmesh.conf"\n`;
    await using external = await start(folder.path, own, input.listen, keys);
    await verifyFragment(external.control.system, input);
  });

  test("names everything that is missing", async () => {
    await using folder = await tempFolder();
    const { keys, input } = await site(folder.path, DESIRED);
    const { MESH, SYS } = {
      MESH: `jetstream: enabled, users: [ { nkey: ${keys.mesh.publicKey} } ], exports: [ { stream: "acme.>" } ]`,
      SYS: `users: [ { nkey: ${keys.sys.publicKey} } ]`,
    };
    const own = `
      listen: "${input.listen}"
      jetstream { store_dir: "${input.paths.store}", domain: other }
      accounts { SYS { ${SYS} }, MESH { ${MESH} }, T_acme { } }
      system_account: SYS
    `;
    await using external = await start(folder.path, own, input.listen, keys);
    const error = await failure(verifyFragment(external.control.system, input));
    expect(error.code).toBe("server_fragment_missing");
    const lines = error.problems.map((problem) => `${problem.path} ${problem.message}`);
    for (const line of [
      "jetstream.domain is 'other', expected 'berlin'",
      "jetstream.sync_interval is not 'always': power loss would lose events that were acknowledged; or set server.sync to what you accept",
      "feature_flags.js_ack_fc_v2 is not true",
      "max_payload is 1048576, expected 2359296 or more",
      "leafnodes.listen is not set, and there are peers that dial us",
      "leafnodes.remotes have none for account LINK_tokyo (nats-leaf://127.0.0.1:1)",
      "accounts.MESH.exports lack service 'berlin.acme.>' for T_acme",
      "accounts.MESH.exports lack stream 'acme.>' for T_acme",
      "accounts.MESH.imports lack service '$JS.API.>' of T_acme as 'mesh.local.acme.API.>'",
      "accounts.T_acme.jetstream is not enabled",
      "accounts.T_acme.imports lack service 'berlin.acme.>' of MESH as 'acme.>'",
      "accounts.T_globex does not exist",
      "accounts.LINK_austin does not exist",
    ]) {
      expect(lines).toContain(line);
    }
  });
});
