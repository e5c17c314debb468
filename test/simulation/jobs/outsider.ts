import type { Process, World } from "./world.ts";

/** A program that has no worker takes keys that jobs want, as an API does, and releases them: it can wake no job. */
export function scheduleOutsider(
  { scenario, random, timeline }: World,
  begin: (serves: readonly number[]) => Process,
): void {
  const { outsider } = scenario;
  if (outsider === undefined) return;
  const { redlock, host } = begin([]);
  const use = async (): Promise<void> => {
    const key = outsider.keys[Math.floor(random.fraction() * outsider.keys.length)] ?? "";
    if (outsider.wakes) await redlock.wake(key).catch(() => undefined);
    const lock = outsider.wakes ? null : await redlock.tryAcquire(key).catch(() => null);
    await new Promise<void>((resolve) => {
      host.timer(outsider.holds * random.fraction(), resolve);
    });
    await lock?.release();
    if (timeline.now < scenario.duration)
      host.timer(outsider.pauses * random.fraction(), () => void use());
  };
  void use();
}
