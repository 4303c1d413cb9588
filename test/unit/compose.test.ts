/** There is no Docker where the tests run: what compose.yaml and the Dockerfile name is compared with what is there. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { readCommandLine } from "../../src/cli/args.ts";
import { COMMANDS } from "../../src/cli/commands/mod.ts";
import { checkState } from "../../src/control/check_state.ts";
import { parseSiteFile, parseTenantFile } from "../../src/model/site_file.ts";
import { parseAddress } from "../../src/nats/addresses.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { testApi } from "./routes/api_support.ts";

const ROOT = join(import.meta.dir, "../..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** Strict: an environment, a secret, a user or more rights would be a key that is not here. */
const Service = z.strictObject({
  image: z.string(),
  build: z.string(),
  init: z.literal(true),
  command: z.array(z.string()),
  restart: z.string(),
  stop_grace_period: z.string(),
  read_only: z.literal(true),
  tmpfs: z.array(z.string()),
  cap_drop: z.tuple([z.literal("ALL")]),
  security_opt: z.tuple([z.literal("no-new-privileges:true")]),
  ports: z.array(z.string()),
  volumes: z.array(z.string()),
});
const Compose = z.strictObject({
  name: z.string(),
  "x-site": z.unknown(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.unknown()),
});
const compose = Compose.parse(parse(read("compose.yaml"), { merge: true }));
const services = Object.entries(compose.services);
const siteNames = Object.keys(compose.services);

/** The instructions of the Dockerfile, continued lines joined. */
const instructions = read("Dockerfile")
  .replace(/\\\n/g, " ")
  .split("\n")
  .filter((line) => /^[A-Z]+ /.test(line))
  .map((line) => ({ name: line.split(" ", 1)[0] ?? "", text: line.slice(line.indexOf(" ") + 1).trim() }));
const only = (name: string): string => instructions.findLast((one) => one.name === name)?.text ?? "";
const jsonOf = (name: string): string[] => z.array(z.string()).parse(JSON.parse(only(name)));

/** The value of a version in scripts/setup. */
function version(name: string): string {
  return new RegExp(`\\b${name}=([0-9.]+)`).exec(read("scripts/setup"))?.[1] ?? "";
}

function siteFile(site: string) {
  const path = `examples/compose/${site}.yaml`;
  return parseSiteFile(read(path), path);
}

describe("compose.yaml", () => {
  test("runs three sites", () => {
    expect(siteNames).toEqual(["berlin", "austin", "tokyo"]);
  });

  test.each(services)("%s publishes the ports of its site file on this machine alone", (site, { ports }) => {
    const { server, api } = siteFile(site);
    const listening = [server?.listen, server?.leaf, api?.listen].map((one) => parseAddress(one ?? ""));
    expect(listening.map(({ host }) => host)).toEqual(["0.0.0.0", "0.0.0.0", "0.0.0.0"]);
    const mapped = ports.map((port) => /^127\.0\.0\.1:(\d+):(\d+)$/.exec(port));
    expect(mapped.map((match) => Number(match?.[2]))).toEqual(listening.map(({ port }) => port));
    expect(only("EXPOSE").split(" ").map(Number)).toEqual(listening.map(({ port }) => port));
  });

  test("gives no port of this machine to two sites", () => {
    const taken = services.flatMap(([, { ports }]) => ports.map((port) => port.split(":")[1]));
    expect(new Set(taken).size).toBe(taken.length);
  });

  test.each(services)(
    "%s mounts files that exist, read-only, and a volume that is declared",
    (site, service) => {
      const mounts = service.volumes.map((volume) => volume.split(":"));
      const [data, ...files] = mounts;
      expect(data).toEqual([site, only("VOLUME")]);
      expect(Object.keys(compose.volumes)).toContain(site);
      expect(files).toEqual([[`./examples/compose/${site}.yaml`, `${only("WORKDIR")}/site.yaml`, "ro"]]);
      for (const [source] of files) expect(statSync(join(ROOT, source ?? "")).isFile()).toBe(true);
    },
  );

  test.each(services)("%s has an image of this version, built from the Dockerfile here", (_, service) => {
    const { name, version: ours } = z
      .object({ name: z.string(), version: z.string() })
      .parse(JSON.parse(read("package.json")));
    expect(service.image).toBe(`${name}:${ours}`);
    expect(existsSync(join(ROOT, service.build, "Dockerfile"))).toBe(true);
  });
});

describe("the site files of compose.yaml", () => {
  test.each(siteNames)("%s.yaml names its site and is valid", (site) => {
    const file = siteFile(site);
    expect(file.site).toBe(site);
    expect(checkState(file.site, file.tenants ?? [], file.peers ?? [])).toEqual([]);
  });

  test.each(siteNames)("%s.tenants.yaml is valid at a site that is linked with the others", (site) => {
    const path = `examples/compose/${site}.tenants.yaml`;
    const tenants = parseTenantFile(read(path), path);
    const peers = siteNames
      .filter((name) => name !== site)
      .map((name) => ({ name, key: createSigningKey().publicKey }));
    expect(checkState(site, tenants, peers)).toEqual([]);
  });

  test("each export has its import at the other end, and each import its export", () => {
    const tenantOf = (site: string) => {
      const path = `examples/compose/${site}.tenants.yaml`;
      const [tenant] = parseTenantFile(read(path), path);
      return tenant;
    };
    const exported = siteNames.flatMap((site) =>
      (tenantOf(site)?.exports ?? []).flatMap(({ to }) => to.map((peer) => `${site} > ${peer}`)),
    );
    const imported = siteNames.flatMap((site) =>
      (tenantOf(site)?.imports ?? []).map(({ from }) => `${from} > ${site}`),
    );
    expect(exported.sort()).toEqual(imported.sort());
  });
});

describe("the Dockerfile", () => {
  test("takes nats-server and Bun in the versions that scripts/setup installs", () => {
    const images = instructions.filter(({ name }) => name === "FROM").map(({ text }) => text.split(" ")[0]);
    const bun = `oven/bun:${version("BUN_VERSION")}-slim`;
    expect(images).toEqual([`nats:${version("NATS_VERSION")}`, bun, bun]);
  });

  test("copies only files that exist and that .dockerignore lets through", () => {
    const allowed = read(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const copied = instructions
      .filter(({ name, text }) => name === "COPY" && !text.startsWith("--from"))
      .flatMap(({ text }) => text.split(" ").slice(0, -1));
    expect(copied.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect([...new Set(copied)].sort()).toEqual(allowed.sort());
  });

  test("runs a command that the CLI has, and finds the program where it was copied", () => {
    expect(jsonOf("ENTRYPOINT")).toEqual(["leafmesh"]);
    expect(readCommandLine(jsonOf("CMD"), COMMANDS).line?.command.name).toBe("up");
    const program = /exec bun \/app\/(\S+)/.exec(read("Dockerfile"))?.[1] ?? "";
    expect(existsSync(join(ROOT, program))).toBe(true);
  });

  test("runs as a user without rights, whose data folder is where the site file expects it", () => {
    expect(only("USER")).toBe("bun");
    expect(only("VOLUME")).toBe(`${only("WORKDIR")}/leafmesh-data`);
    for (const site of siteNames) expect(siteFile(site).data).toBeUndefined();
  });

  test("asks a route that answers without a token for the site's health", async () => {
    const url = new URL(/fetch\('([^']+)'\)/.exec(only("HEALTHCHECK"))?.[1] ?? "");
    expect(Number(url.port)).toBe(parseAddress(siteFile("berlin").api?.listen ?? "").port);
    expect((await testApi().app.request(url.pathname)).status).toBe(200);
  });
});

describe("examples/compose/up", () => {
  test("names the sites of compose.yaml", () => {
    const named = /for site in ([a-z ]+);/.exec(read("examples/compose/up"))?.[1];
    expect(named?.split(" ")).toEqual(siteNames);
  });

  test("dials the leaf port that the site files listen at", () => {
    const port = /tls:\/\/\$2:(\d+)/.exec(read("examples/compose/up"))?.[1];
    for (const site of siteNames) {
      expect(Number(port)).toBe(parseAddress(siteFile(site).server?.leaf ?? "").port);
    }
  });
});
