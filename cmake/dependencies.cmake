# Everything that is not ours. Each line of a new dependency needs its reason in docs/decisions/.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(GTest REQUIRED)

# libqrencode has neither a CMake package nor, on Android, pkg-config's file in a fixed place.
find_path(QRENCODE_INCLUDE qrencode.h REQUIRED)
find_library(QRENCODE_LIBRARY qrencode REQUIRED)
add_library(qrencode INTERFACE)
target_include_directories(qrencode SYSTEM INTERFACE "${QRENCODE_INCLUDE}")
target_link_libraries(qrencode INTERFACE "${QRENCODE_LIBRARY}")

# Asio and Beast are compiled once, in one file, instead of in every file that includes them.
add_library(asio STATIC cmake/asio_implementation.cpp)
target_compile_definitions(asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                                       BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(asio PUBLIC Boost::headers OpenSSL::SSL OpenSSL::Crypto Threads::Threads)

# ggml's own GGUF reader, static, from the same source as the engine.
if(NOT EXISTS "${CARAVAN_GGML_DIR}/include/gguf.h")
  message(FATAL_ERROR "No ggml at CARAVAN_GGML_DIR='${CARAVAN_GGML_DIR}'. "
                      "Run `./run build`: it fetches llama.cpp, builds it and passes the right folder.")
endif()
find_library(CARAVAN_GGML_BASE ggml-base PATHS "${CARAVAN_GGML_DIR}/lib" NO_DEFAULT_PATH REQUIRED)
add_library(ggml_base INTERFACE)
target_include_directories(ggml_base SYSTEM INTERFACE "${CARAVAN_GGML_DIR}/include")
target_link_libraries(ggml_base INTERFACE "${CARAVAN_GGML_BASE}" Threads::Threads ${CMAKE_DL_LIBS} m)

# The engine's own shared libraries: what runs in a process with it (fabric/) must not bring a second ggml.
if(NOT EXISTS "${CARAVAN_ENGINE_DIR}/bin/libggml-base.so")
  message(FATAL_ERROR "No engine at CARAVAN_ENGINE_DIR='${CARAVAN_ENGINE_DIR}'. `./run build` builds it and passes the right folder.")
endif()
add_library(ggml_shared INTERFACE)
target_include_directories(ggml_shared SYSTEM INTERFACE "${CARAVAN_GGML_DIR}/include")
target_link_libraries(ggml_shared INTERFACE "${CARAVAN_ENGINE_DIR}/bin/libggml.so" "${CARAVAN_ENGINE_DIR}/bin/libggml-cpu.so"
                                            "${CARAVAN_ENGINE_DIR}/bin/libggml-base.so")
