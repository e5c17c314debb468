import { Redis } from "ioredis";

/** Milliseconds of CPU that this process has used. */
export function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** Milliseconds of CPU that all these servers have used together. */
export async function serverCpu(urls: readonly string[]): Promise<number> {
  const used = await Promise.all(
    urls.map(async (url) => {
      const client = new Redis(url);
      try {
        return fieldOf(await client.info("cpu"), "used_cpu_user", "used_cpu_sys") * 1_000;
      } finally {
        client.disconnect();
      }
    }),
  );
  return used.reduce((sum, ms) => sum + ms, 0);
}

/** The sum of these fields of what `INFO` says. */
export function fieldOf(info: string, ...names: string[]): number {
  return names.reduce((sum, name) => {
    const value = new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)?.[1];
    return sum + Number(value);
  }, 0);
}
