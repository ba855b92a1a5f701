// Pages work without this; with it the clock ticks, the PC's own clock is compared, and a password is copied by one press.
"use strict";

const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;

for (const box of document.querySelectorAll(".countdown")) {
  const left = Number(box.dataset.left), clock = box.querySelector(".clock"), bar = box.querySelector("progress");
  const tick = () => {
    const rest = Math.max(0, Math.ceil(left - elapsed()));
    clock.textContent = `${Math.floor(rest / 60)}:${String(rest % 60).padStart(2, "0")}`;
    bar.value = rest;
    box.classList.toggle("hurry", rest <= 60);
    if (rest > 0) return;
    box.classList.add("ended");
    for (const part of document.querySelectorAll("form.timed input, form.timed button")) part.disabled = true;
    clearInterval(timer);
  };
  const timer = setInterval(tick, 250);
  tick();
}

const clock = document.getElementById("clock");
if (clock) {
  const off = Math.trunc(Date.now() / 1000 - Number(clock.dataset.server) - elapsed());
  const fine = Math.abs(off) <= 300;
  clock.classList.add(fine ? "ok" : "bad");
  clock.querySelector("span").textContent = (fine ? clock.dataset.ok : clock.dataset.bad).replace("{n}", off);
  const field = document.querySelector("input[name=offset]");
  if (field) field.value = off;
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(source);
    }
  });
}
