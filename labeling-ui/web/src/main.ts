import "./design/fonts.css";
import "./design/tokens.css";
import "./design/base.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { keepShell } from "./worker/register.ts";
import { followTheme } from "./design/theme.svelte.ts";

followTheme();
const target = document.getElementById("app");
if (target) mount(App, { target });
if (import.meta.env.PROD) keepShell();
