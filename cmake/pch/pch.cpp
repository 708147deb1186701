// gcc makes the precompiled header of pch.h while it compiles this.
