# caravan_flags: how everything of ours is compiled.
add_library(caravan_flags INTERFACE)
target_include_directories(caravan_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_compile_options(caravan_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  # Members that are left out get their defaults: that is what the defaults are for.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc sees that Asio allocates a coroutine's frame with aligned_alloc, but not that Asio also frees it so.
  target_compile_options(caravan_flags INTERFACE -Wno-mismatched-new-delete)
endif()
if(CARAVAN_WERROR)
  target_compile_options(caravan_flags INTERFACE -Werror)
endif()
# The rest has to come before any library is declared: all that is compiled here is instrumented, Asio too.
if(CARAVAN_SANITIZE)
  # -g1 has all that a stack trace needs. Optimising what UndefinedBehaviorSanitizer has put in takes gcc three times as
  # long as compiling it does, so only ThreadSanitizer's build is optimised.
  add_compile_options(-fsanitize=${CARAVAN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${CARAVAN_SANITIZE})
  if(CARAVAN_SANITIZE MATCHES "thread")
    add_compile_options(-O1)
  endif()
  if(CARAVAN_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio fences explicitly where its atomics already order; gcc warns that TSan does not model fences.
    add_compile_options(-Wno-tsan)
  endif()
endif()
option(CARAVAN_LIBFUZZER "Build the fuzz targets with libFuzzer (clang only)" OFF)
if(CARAVAN_LIBFUZZER)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# One precompiled header for the libraries that use Asio, one for their tests. Only for gcc: clang insists on the very
# same definitions everywhere. Turned off (CMAKE_DISABLE_PRECOMPILE_HEADERS) where clang-tidy reads the compile commands.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
  foreach(kind library test)
    add_library(caravan_pch_${kind} OBJECT "${PROJECT_SOURCE_DIR}/cmake/pch/pch.cpp")
    target_link_libraries(caravan_pch_${kind} PRIVATE caravan_flags asio fmt::fmt spdlog::spdlog
                                                      nlohmann_json::nlohmann_json)
    target_precompile_headers(caravan_pch_${kind} PRIVATE "${PROJECT_SOURCE_DIR}/cmake/pch/pch.h")
  endforeach()
  target_link_libraries(caravan_pch_test PRIVATE GTest::gmock_main)
  target_precompile_headers(caravan_pch_test PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
endif()

# TARGET shares the precompiled header of KIND when it uses Asio, directly or not.
function(caravan_precompile target kind folder)
  set(with_asio link engine cluster gateway doctor app cli)
  if(TARGET caravan_pch_${kind} AND folder IN_LIST with_asio)
    target_precompile_headers(${target} REUSE_FROM caravan_pch_${kind})
  endif()
endfunction()

# caravan_library(FOLDER DEP...): src/FOLDER/*.cpp as caravan_FOLDER, src/FOLDER/*_test.cpp as test_FOLDER.
# A DEP that names a folder means that folder's library.
function(caravan_library folder)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp")
  file(GLOB tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${folder}/*_test.cpp")
  list(REMOVE_ITEM sources ${tests} "${PROJECT_SOURCE_DIR}/src/cli/main.cpp")
  set(dependencies "")
  foreach(dependency ${ARGN})
    if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/src/${dependency}")
      list(APPEND dependencies caravan_${dependency})
    else()
      list(APPEND dependencies ${dependency})
    endif()
  endforeach()
  if(sources)
    add_library(caravan_${folder} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(caravan_${folder} PRIVATE caravan_flags)
    caravan_precompile(caravan_${folder} library ${folder})
  else()
    add_library(caravan_${folder} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(caravan_${folder} ${scope} ${dependencies} fmt::fmt spdlog::spdlog
                                          nlohmann_json::nlohmann_json)
  if(tests)
    add_executable(test_${folder} ${tests})
    target_link_libraries(test_${folder} PRIVATE caravan_${folder} caravan_flags GTest::gmock_main)
    target_compile_definitions(test_${folder} PRIVATE CARAVAN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    caravan_precompile(test_${folder} test ${folder})
    add_test(NAME unit.${folder} COMMAND test_${folder})
    set_tests_properties(unit.${folder} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
endfunction()

# caravan_fabric(PART DEP...): fabric/PART/*.cpp as fabric_PART, fabric/PART/*_test.cpp as test_fabric_PART. All of it can be part
# of a shared library, and a program's main.cpp or a module's entry (module.cpp) is left to its target.
function(caravan_fabric part)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/fabric/${part}/*.cpp")
  file(GLOB tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/fabric/${part}/*_test.cpp")
  list(REMOVE_ITEM sources ${tests} "${PROJECT_SOURCE_DIR}/fabric/${part}/main.cpp"
                           "${PROJECT_SOURCE_DIR}/fabric/${part}/module.cpp")
  add_library(fabric_${part} STATIC ${sources})
  set_target_properties(fabric_${part} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  target_include_directories(fabric_${part} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(fabric_${part} PRIVATE caravan_flags PUBLIC ${ARGN} fmt::fmt)
  if(tests)
    add_executable(test_fabric_${part} ${tests})
    target_link_libraries(test_fabric_${part} PRIVATE fabric_${part} caravan_flags GTest::gmock_main)
    target_compile_definitions(test_fabric_${part} PRIVATE CARAVAN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME unit.fabric_${part} COMMAND test_fabric_${part})
    set_tests_properties(unit.fabric_${part} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
endfunction()

# caravan_fuzz(NAME DEP...): tests/fuzz/NAME_fuzz.cpp against LLVMFuzzerTestOneInput. Everywhere it is also a test: a
# fixed number of seeded mutations of the corpus in tests/fuzz/corpus/NAME. With clang and CARAVAN_LIBFUZZER=ON it
# is a coverage-guided fuzzer instead.
function(caravan_fuzz name)
  add_executable(fuzz_${name} ${name}_fuzz.cpp)
  target_link_libraries(fuzz_${name} PRIVATE caravan_flags ${ARGN})
  if(CARAVAN_LIBFUZZER)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE driver.cpp)
    add_test(NAME fuzz.${name} COMMAND fuzz_${name} "${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name}")
    set_tests_properties(fuzz.${name} PROPERTIES LABELS "unit" TIMEOUT 300)
  endif()
endfunction()
